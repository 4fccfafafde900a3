import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkMac1, macKey, writeMac1 } from '../../../../../shared/core/admission/macs.ts';
import type { Entropy } from '../../../../../shared/core/base/ports.ts';
import { lowOrderPoints } from '../../../../../shared/core/crypto/known-answer.ts';
import { portableSuite as suite } from '../../../../../shared/core/crypto/portable.ts';
import { beginInitiation, type InitiatorHandshake } from '../../../../../shared/core/noise/initiator.ts';
import { openInitiation, type ReceivedInitiation } from '../../../../../shared/core/noise/responder.ts';
import type { SessionKeys, StaticKeys } from '../../../../../shared/core/noise/symmetric.ts';
import { classify, messageType } from '../../../../../shared/core/wire/message.ts';
import { seededEntropy } from '../../../../support/seeded.ts';
import { hex } from '../../../../vectors/openssl.ts';
import { referenceHandshake } from '../../../../vectors/reference-handshake.ts';

const offset = 7;
const noPresharedKey = new Uint8Array(32);
const timestamp = Uint8Array.of(0x40, 0, 0, 0, 0x6b, 0, 0, 9, 1, 0, 0, 0);
const initiatorIndex = 0xa1b2c3d4;
const responderIndex = 0xfffffffe;

interface Sides {
  readonly initiator: StaticKeys;
  readonly responder: StaticKeys;
  readonly entropy: Entropy;
}

function makeSides(seed: number): Sides {
  const entropy = seededEntropy(seed);
  return { initiator: makeKeys(entropy), responder: makeKeys(entropy), entropy };
}

function makeKeys(entropy: Entropy): StaticKeys {
  const secretKey = new Uint8Array(32);
  entropy.fill(secretKey);
  return { secretKey, publicKey: suite.publicKey(secretKey) };
}

/** Gives out these secrets, one per question. */
function scripted(...secrets: readonly Uint8Array[]): Entropy {
  const left = [...secrets];
  return {
    fill(bytes) {
      const next = left.shift();
      if (next === undefined) throw new Error('asked for more randomness than expected');
      bytes.set(next);
    },
  };
}

/** An initiation with its mac1, at `offset` of a larger memory. */
function initiate(sides: Sides): { memory: Uint8Array; handshake: InitiatorHandshake } {
  const memory = new Uint8Array(offset + 148 + 5);
  const handshake = beginInitiation(
    {
      suite,
      entropy: sides.entropy,
      local: sides.initiator,
      remoteStatic: sides.responder.publicKey,
      staticShared: suite.dh(sides.initiator.secretKey, sides.responder.publicKey)!,
      timestamp,
      localIndex: initiatorIndex,
    },
    memory,
    offset,
  );
  if (typeof handshake === 'string') throw new Error(handshake);
  writeMac1(suite, macKey(suite, sides.responder.publicKey), memory.subarray(offset, offset + 148));
  return { memory, handshake };
}

/** All that a responder does with a datagram; the reason it is refused for, or the opened initiation. */
function receive(
  local: StaticKeys,
  memory: Uint8Array,
): { opened: ReceivedInitiation; stamp: Uint8Array } | string {
  const kind = classify(memory, offset, 148);
  if (typeof kind === 'string') return kind;
  if (kind !== messageType.initiation) return 'another-type';
  const message = memory.subarray(offset, offset + 148);
  if (!checkMac1(suite, macKey(suite, local.publicKey), message)) return 'bad-mac1';
  const opened = openInitiation(suite, local, memory, offset);
  if (typeof opened === 'string') return opened;
  const staticShared = suite.dh(local.secretKey, opened.remoteStatic);
  if (staticShared === undefined) return 'bad-handshake';
  const stamp = opened.openTimestamp(staticShared);
  return typeof stamp === 'string' ? stamp : { opened, stamp };
}

interface Finished {
  readonly initiation: Uint8Array;
  readonly response: Uint8Array;
  readonly handshake: InitiatorHandshake;
  readonly responderKeys: SessionKeys;
}

/** Up to the response, which waits at `offset` of its memory. */
function respond(sides: Sides, presharedKey: Uint8Array): Finished {
  const { memory, handshake } = initiate(sides);
  const received = receive(sides.responder, memory);
  if (typeof received === 'string') throw new Error(received);
  const response = new Uint8Array(offset + 92 + 3);
  const options = { entropy: sides.entropy, presharedKey, localIndex: responderIndex };
  const responderKeys = received.opened.respond(options, response, offset);
  if (typeof responderKeys === 'string') throw new Error(responderKeys);
  writeMac1(suite, macKey(suite, sides.initiator.publicKey), response.subarray(offset, offset + 92));
  return { initiation: memory, response, handshake, responderKeys };
}

describe('a handshake', () => {
  test.each([
    ['without a preshared key', noPresharedKey],
    ['with a preshared key', new Uint8Array(32).fill(0x5e)],
  ])('%s gives both sides the same two keys', (_, presharedKey) => {
    const sides = makeSides(1);
    const { response, handshake, responderKeys } = respond(sides, presharedKey);

    const keys = handshake.finish(presharedKey, response, offset);

    if (typeof keys === 'string') throw new Error(keys);
    expect(keys.sendKey).toEqual(responderKeys.receiveKey);
    expect(keys.receiveKey).toEqual(responderKeys.sendKey);
    expect(keys.sendKey).not.toEqual(keys.receiveKey);
    expect([keys.role, keys.localIndex, keys.remoteIndex]).toEqual([
      'initiator',
      initiatorIndex,
      responderIndex,
    ]);
    expect([responderKeys.role, responderKeys.localIndex, responderKeys.remoteIndex]).toEqual([
      'responder',
      responderIndex,
      initiatorIndex,
    ]);
  });

  test('tells the responder who calls and when', () => {
    const sides = makeSides(2);

    const received = receive(sides.responder, initiate(sides).memory);

    if (typeof received === 'string') throw new Error(received);
    expect(received.opened.remoteStatic).toEqual(sides.initiator.publicKey);
    expect(received.opened.remoteIndex).toBe(initiatorIndex);
    expect(received.stamp).toEqual(timestamp);
  });

  test('is, byte for byte and key for key, what the paper computes with OpenSSL', () => {
    const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const index = fc.nat({ max: 2 ** 32 - 1 });
    const inputs = fc.record({
      initiatorSecret: secret,
      responderSecret: secret,
      initiatorEphemeral: secret,
      responderEphemeral: secret,
      presharedKey: fc.oneof(fc.constant(noPresharedKey), secret),
      timestamp: fc.uint8Array({ minLength: 12, maxLength: 12 }),
      initiatorIndex: index,
      responderIndex: index,
    });
    fc.assert(
      fc.property(inputs, (given) => {
        const expected = referenceHandshake(given);
        const initiator = keysOf(given.initiatorSecret);
        const responder = keysOf(given.responderSecret);
        const staticShared = suite.dh(initiator.secretKey, responder.publicKey)!;
        const initiation = new Uint8Array(148);
        const response = new Uint8Array(92);

        const handshake = beginInitiation(
          {
            suite,
            entropy: scripted(given.initiatorEphemeral),
            local: initiator,
            remoteStatic: responder.publicKey,
            staticShared,
            timestamp: given.timestamp,
            localIndex: given.initiatorIndex,
          },
          initiation,
          0,
        ) as InitiatorHandshake;
        writeMac1(suite, macKey(suite, responder.publicKey), initiation);
        const opened = openInitiation(suite, responder, expected.initiation, 0) as ReceivedInitiation;
        const stamp = opened.openTimestamp(staticShared);
        const { presharedKey, responderIndex: localIndex } = given;
        const theirs = opened.respond(
          { entropy: scripted(given.responderEphemeral), presharedKey, localIndex },
          response,
          0,
        ) as SessionKeys;
        writeMac1(suite, macKey(suite, initiator.publicKey), response);
        const ours = handshake.finish(presharedKey, expected.response, 0) as SessionKeys;

        expect(initiation).toEqual(expected.initiation);
        expect(stamp).toEqual(given.timestamp);
        expect(response).toEqual(expected.response);
        expect(ours.sendKey).toEqual(expected.initiatorSends);
        expect(ours.receiveKey).toEqual(expected.initiatorReceives);
        expect(theirs.sendKey).toEqual(expected.initiatorReceives);
        expect(theirs.receiveKey).toEqual(expected.initiatorSends);
      }),
      { seed: 542, numRuns: 12 },
    );
  });

  test('has a new ephemeral key every time, so that nothing of a repeated initiation repeats', () => {
    const sides = makeSides(3);

    const first = initiate(sides).memory.subarray(offset + 8, offset + 132);
    const second = initiate(sides).memory.subarray(offset + 8, offset + 132);

    for (const [from, to] of [
      [0, 32],
      [32, 80],
      [80, 108],
      [108, 124],
    ] as const) {
      expect(first.slice(from, to)).not.toEqual(second.slice(from, to));
    }
  });

  test('writes nothing beside its messages', () => {
    const { initiation, response } = respond(makeSides(4), noPresharedKey);

    expect([...initiation.subarray(0, offset), ...initiation.subarray(offset + 132)]).toEqual(
      Array.from({ length: offset + 16 + 5 }, () => 0),
    );
    expect([...response.subarray(0, offset), ...response.subarray(offset + 76)]).toEqual(
      Array.from({ length: offset + 16 + 3 }, () => 0),
    );
  });
});

describe('the responder', () => {
  test('refuses by name an initiation with any byte changed', () => {
    const sides = makeSides(5);
    const { memory } = initiate(sides);

    for (let at = 0; at < 132; at++) {
      const changed = flip(memory, offset + at, at % 8);
      const verdict = receive(sides.responder, changed);
      const expected = at < 4 ? ['unknown-type', 'wrong-length', 'another-type', 'too-short'] : ['bad-mac1'];
      expect(expected).toContain(verdict);
    }
  });

  test('refuses any changed field also where the forger made a right mac1', () => {
    const sides = makeSides(6);
    const { memory } = initiate(sides);

    for (let at = 8; at < 116; at++) {
      const changed = flip(memory, offset + at, (at * 3) % 8);
      writeMac1(suite, macKey(suite, sides.responder.publicKey), changed.subarray(offset, offset + 148));
      expect(receive(sides.responder, changed)).toBe('bad-handshake');
    }
  });

  test('refuses an initiation for somebody else', () => {
    const sides = makeSides(7);
    const other = makeKeys(sides.entropy);
    const { memory } = initiate(sides);

    expect(receive(other, memory)).toBe('bad-mac1');
    writeMac1(suite, macKey(suite, other.publicKey), memory.subarray(offset, offset + 148));
    expect(receive(other, memory)).toBe('bad-handshake');
  });

  test('refuses who names a key without having its secret', () => {
    const sides = makeSides(8);
    const thief = { secretKey: makeKeys(sides.entropy).secretKey, publicKey: sides.initiator.publicKey };

    expect(receive(sides.responder, initiate({ ...sides, initiator: thief }).memory)).toBe('bad-handshake');
  });

  test.each(lowOrderPoints)('refuses the ephemeral key %s of low order', (point) => {
    const sides = makeSides(9);
    const { memory } = initiate(sides);

    memory.set(hex(point), offset + 8);
    writeMac1(suite, macKey(suite, sides.responder.publicKey), memory.subarray(offset, offset + 148));

    expect(receive(sides.responder, memory)).toBe('bad-handshake');
  });

  test('answers nobody who is not proven, and nobody twice', () => {
    const sides = makeSides(10);
    const { memory } = initiate(sides);
    const options = { entropy: sides.entropy, presharedKey: noPresharedKey, localIndex: 1 };
    const response = new Uint8Array(92);
    const opened = openInitiation(suite, sides.responder, memory, offset) as ReceivedInitiation;

    expect(() => opened.respond(options, response, 0)).toThrow('only a proven peer');
    opened.openTimestamp(suite.dh(sides.responder.secretKey, opened.remoteStatic)!);
    opened.respond(options, response, 0);
    expect(() => opened.respond(options, response, 0)).toThrow('only a proven peer');
  });

  test('has taken all it needs from the datagram when openInitiation returns', () => {
    const sides = makeSides(11);
    const { memory, handshake } = initiate(sides);
    const response = new Uint8Array(92);

    const opened = openInitiation(suite, sides.responder, memory, offset) as ReceivedInitiation;
    memory.fill(0);
    const stamp = opened.openTimestamp(suite.dh(sides.responder.secretKey, opened.remoteStatic)!);
    opened.respond({ entropy: sides.entropy, presharedKey: noPresharedKey, localIndex: 1 }, response, 0);

    expect(stamp).toEqual(timestamp);
    expect(handshake.finish(noPresharedKey, response, 0)).toMatchObject({ remoteIndex: 1 });
  });

  test('says a reason for any bytes, and never throws', () => {
    const sides = makeSides(12);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 148, maxLength: 148 }), (bytes) => {
        expect(openInitiation(suite, sides.responder, bytes, 0)).toBe('bad-handshake');
      }),
      { seed: 12, numRuns: 30 },
    );
  });
});

describe('the initiator', () => {
  test('refuses by name a response with any byte changed, and still takes the right one after all of them', () => {
    const sides = makeSides(13);
    const { response, handshake, responderKeys } = respond(sides, noPresharedKey);

    for (let at = 8; at < 60; at++) {
      const verdict = handshake.finish(noPresharedKey, flip(response, offset + at, at % 8), offset);
      expect(verdict).toBe(at < 12 ? 'unexpected-response' : 'bad-handshake');
    }
    expect(handshake.finish(noPresharedKey, response, offset)).toMatchObject({
      sendKey: responderKeys.receiveKey,
    });
  });

  test('refuses a response with another preshared key', () => {
    const { response, handshake } = respond(makeSides(14), new Uint8Array(32).fill(1));

    expect(handshake.finish(noPresharedKey, response, offset)).toBe('bad-handshake');
    expect(handshake.finish(new Uint8Array(32).fill(2), response, offset)).toBe('bad-handshake');
  });

  test('refuses the response to another initiation of its own', () => {
    const sides = makeSides(15);
    const first = respond(sides, noPresharedKey);
    const second = respond(sides, noPresharedKey);

    expect(first.handshake.finish(noPresharedKey, second.response, offset)).toBe('bad-handshake');
  });

  test.each(lowOrderPoints)('refuses the ephemeral key %s of low order', (point) => {
    const { response, handshake } = respond(makeSides(16), noPresharedKey);

    response.set(hex(point), offset + 12);

    expect(handshake.finish(noPresharedKey, response, offset)).toBe('bad-handshake');
  });

  test.each(lowOrderPoints)('calls nobody whose static key %s is of low order', (point) => {
    const sides = makeSides(17);
    const out = new Uint8Array(148);

    const verdict = beginInitiation(
      {
        suite,
        entropy: sides.entropy,
        local: sides.initiator,
        remoteStatic: hex(point),
        staticShared: new Uint8Array(32),
        timestamp,
        localIndex: 1,
      },
      out,
      0,
    );

    expect(verdict).toBe('bad-handshake');
    expect(out).toEqual(new Uint8Array(148));
  });

  test('finishes once: after that, or after it was given up, asking again is a bug', () => {
    const { response, handshake } = respond(makeSides(18), noPresharedKey);
    const { handshake: givenUp } = initiate(makeSides(19));

    handshake.finish(noPresharedKey, response, offset);
    givenUp.wipe();

    expect(() => handshake.finish(noPresharedKey, response, offset)).toThrow('not over');
    expect(() => givenUp.finish(noPresharedKey, response, offset)).toThrow('not over');
  });

  test('says a reason for any bytes, and never throws', () => {
    const { handshake } = initiate(makeSides(20));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 92, maxLength: 92 }), fc.boolean(), (bytes, ours) => {
        if (ours) new DataView(bytes.buffer).setUint32(8, initiatorIndex, true);
        expect(handshake.finish(noPresharedKey, bytes, 0)).toBe(
          ours ? 'bad-handshake' : 'unexpected-response',
        );
      }),
      { seed: 20, numRuns: 30 },
    );
  });
});

describe('both sides', () => {
  test('leave the static and preshared keys they were lent as they were', () => {
    const sides = makeSides(21);
    const presharedKey = new Uint8Array(32).fill(3);
    const copies = [sides.initiator, sides.responder].map((keys) => keys.secretKey.slice());

    const { response, handshake } = respond(sides, presharedKey);
    handshake.finish(presharedKey, response, offset);

    expect([sides.initiator.secretKey, sides.responder.secretKey]).toEqual(copies);
    expect(presharedKey).toEqual(new Uint8Array(32).fill(3));
  });
});

function keysOf(secretKey: Uint8Array): StaticKeys {
  return { secretKey, publicKey: suite.publicKey(secretKey) };
}

function flip(memory: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = memory.slice();
  copy[at]! ^= 1 << bit;
  return copy;
}
