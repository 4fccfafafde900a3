// macs, cookie-issuer and cookie-jar together: they only make sense as a conversation.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CookieIssuer, cookieSecretLifeMs } from '../../../../../shared/core/admission/cookie-issuer.ts';
import { CookieJar, cookieLifeMs } from '../../../../../shared/core/admission/cookie-jar.ts';
import {
  checkMac1,
  checkMac2,
  cookieKey,
  macKey,
  writeMac1,
  writeMac2,
} from '../../../../../shared/core/admission/macs.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { portableSuite as suite } from '../../../../../shared/core/crypto/portable.ts';
import { seededEntropy } from '../../../../support/seeded.ts';
import { refBlake2s, refHash } from '../../../../vectors/openssl.ts';

const publicKey = Uint8Array.from({ length: 32 }, (_, i) => 3 * i);
const here = source(4, 51820, 192, 0, 2, 1);
const start = monoMs(1_000_000);
const at = (ms: number) => monoMs(start + ms);

function source(family: number, port: number, ...address: readonly number[]): Uint8Array {
  const record = new Uint8Array(24);
  record.set([family, 0, port >> 8, port & 255, ...address]);
  return record;
}

/** A handshake message with room for its macs. */
function makeMessage(size: 148 | 92 = 148): Uint8Array {
  const message = new Uint8Array(size);
  seededEntropy(size).fill(message.subarray(0, size - 32));
  return message;
}

function makeIssuer(): CookieIssuer {
  return new CookieIssuer({ suite, entropy: seededEntropy(1), publicKey });
}

/** The issuer's reply to a message, at `offset` of its memory. */
const offset = 5;
function replyTo(issuer: CookieIssuer, message: Uint8Array, now = start, from = here): Uint8Array {
  const memory = new Uint8Array(offset + 64 + 2);
  issuer.writeReply({ sender: 0x01020304, message, source: from }, now, memory, offset);
  return memory;
}

/** A jar that has a cookie from `issuer`, taken at `now`. */
function makeFilledJar(issuer: CookieIssuer, now = start): CookieJar {
  const jar = new CookieJar(suite, publicKey);
  const message = makeMessage();
  jar.sign(message, now);
  expect(jar.receive(replyTo(issuer, message, now), offset, now)).toBe('ok');
  return jar;
}

function signed(jar: CookieJar, now = start, size: 148 | 92 = 148): Uint8Array {
  const message = makeMessage(size);
  jar.sign(message, now);
  return message;
}

describe('macs', () => {
  test.each([148, 92] as const)('of a message of %d bytes are those of the paper', (size) => {
    const message = makeMessage(size);
    const cookie = new Uint8Array(16).fill(9);
    const key = refHash(Buffer.from('mac1----'), publicKey);

    writeMac1(suite, macKey(suite, publicKey), message);
    writeMac2(suite, cookie, message);

    expect(message.slice(-32, -16)).toEqual(refBlake2s(message.subarray(0, size - 32), key, 16));
    expect(message.slice(-16)).toEqual(refBlake2s(message.subarray(0, size - 16), cookie, 16));
    expect(cookieKey(suite, publicKey)).toEqual(refHash(Buffer.from('cookie--'), publicKey));
  });

  test('are right only with every bit as it was', () => {
    const key = macKey(suite, publicKey);
    const cookie = new Uint8Array(16).fill(9);
    const message = makeMessage();
    writeMac1(suite, key, message);
    writeMac2(suite, cookie, message);

    expect([checkMac1(suite, key, message), checkMac2(suite, cookie, message)]).toEqual([true, true]);
    for (let byte = 0; byte < 148; byte++) {
      const changed = message.slice();
      changed[byte]! ^= 1 << (byte % 8);
      expect(checkMac1(suite, key, changed)).toBe(byte >= 132);
      expect(checkMac2(suite, cookie, changed)).toBe(false);
    }
  });

  test('are wrong under another key or cookie', () => {
    const message = makeMessage();
    writeMac1(suite, macKey(suite, publicKey), message);
    writeMac2(suite, new Uint8Array(16).fill(9), message);

    expect(checkMac1(suite, macKey(suite, publicKey.toReversed()), message)).toBe(false);
    expect(checkMac2(suite, new Uint8Array(16).fill(8), message)).toBe(false);
  });

  test('without a cookie, mac2 is zeros', () => {
    const message = makeMessage().fill(0xff);

    writeMac2(suite, undefined, message);

    expect(message.subarray(132)).toEqual(new Uint8Array(16));
    expect(message[131]).toBe(0xff);
  });

  test('refuse any bytes without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 92, maxLength: 148 }), (message) => {
        expect(checkMac1(suite, publicKey, message)).toBe(false);
        expect(makeIssuer().checkMac2(message, here, start)).toBe(false);
      }),
      { seed: 92, numRuns: 50 },
    );
  });
});

describe('a conversation about a cookie', () => {
  test('goes: signed message, cookie reply, message with a right mac2', () => {
    const issuer = makeIssuer();
    const jar = new CookieJar(suite, publicKey);

    const first = signed(jar);
    expect(checkMac1(suite, macKey(suite, publicKey), first)).toBe(true);
    expect(issuer.checkMac2(first, here, start)).toBe(false);
    expect(first.subarray(132)).toEqual(new Uint8Array(16));

    expect(jar.receive(replyTo(issuer, first), offset, start)).toBe('ok');

    expect(issuer.checkMac2(signed(jar), here, start)).toBe(true);
    expect(issuer.checkMac2(signed(jar, start, 92), here, start)).toBe(true);
  });

  test('is bound to the address, the port and the family of the source', () => {
    const issuer = makeIssuer();
    const message = signed(makeFilledJar(issuer));

    expect(issuer.checkMac2(message, here, start)).toBe(true);
    for (const other of [
      source(4, 51821, 192, 0, 2, 1),
      source(4, 51820, 192, 0, 2, 2),
      source(6, 51820, 192, 0, 2, 1),
    ]) {
      expect(issuer.checkMac2(message, other, start)).toBe(false);
    }
  });

  test('is not understood by another issuer', () => {
    const message = signed(makeFilledJar(makeIssuer()));
    const other = new CookieIssuer({ suite, entropy: seededEntropy(2), publicKey });

    expect(other.checkMac2(message, here, start)).toBe(false);
  });

  test('hides the cookie: the reply opens only with the responder’s key and the mac1 it answers', () => {
    const issuer = makeIssuer();
    const jar = new CookieJar(suite, publicKey);
    const other = new CookieJar(suite, publicKey.toReversed());
    const message = signed(jar);
    const reply = replyTo(issuer, message);
    other.sign(message.slice(), start);

    expect(other.receive(reply, offset, start)).toBe('bad-cookie');
    const stranger = makeMessage();
    stranger[8]! ^= 1;
    writeMac1(suite, macKey(suite, publicKey), stranger);
    expect(jar.receive(replyTo(issuer, stranger), offset, start)).toBe('bad-cookie');
    expect(jar.receive(reply, offset, start)).toBe('ok');
  });

  test('uses a new nonce for every reply, and writes nothing beside it', () => {
    const issuer = makeIssuer();
    const message = signed(new CookieJar(suite, publicKey));

    const first = replyTo(issuer, message);
    const second = replyTo(issuer, message);

    expect(first.slice(offset, offset + 8)).toEqual(Uint8Array.of(3, 0, 0, 0, 4, 3, 2, 1));
    expect(first.slice(offset + 8, offset + 32)).not.toEqual(second.slice(offset + 8, offset + 32));
    expect([...first.subarray(0, offset), ...first.subarray(offset + 64)]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('the issuer', () => {
  test('accepts a cookie of the secret before, and none older', () => {
    const issuer = makeIssuer();
    issuer.checkMac2(makeMessage(), here, start);
    const late = makeFilledJar(issuer, at(cookieSecretLifeMs - 1));
    const message = signed(late, at(cookieSecretLifeMs - 1));

    expect(issuer.checkMac2(message, here, at(cookieSecretLifeMs))).toBe(true);
    expect(issuer.checkMac2(message, here, at(2 * cookieSecretLifeMs - 1))).toBe(true);
    expect(issuer.checkMac2(message, here, at(2 * cookieSecretLifeMs))).toBe(false);
  });

  test('changes its secret every two minutes', () => {
    const issuer = makeIssuer();
    const old = signed(makeFilledJar(issuer));
    makeFilledJar(issuer, at(cookieSecretLifeMs));
    makeFilledJar(issuer, at(2 * cookieSecretLifeMs));

    const renewed = signed(makeFilledJar(issuer, at(2 * cookieSecretLifeMs)), at(2 * cookieSecretLifeMs));

    expect(issuer.checkMac2(old, here, at(2 * cookieSecretLifeMs))).toBe(false);
    expect(issuer.checkMac2(renewed, here, at(3 * cookieSecretLifeMs))).toBe(true);
  });

  test('accepts a secret for four minutes from its birth, also where the next was born late', () => {
    const issuer = makeIssuer();
    const message = signed(makeFilledJar(issuer));

    expect(issuer.checkMac2(message, here, at(2 * cookieSecretLifeMs - 1000))).toBe(true);
    expect(issuer.checkMac2(message, here, at(2 * cookieSecretLifeMs))).toBe(false);
  });

  test('accepts nothing of old after a long silence', () => {
    const issuer = makeIssuer();
    const old = signed(makeFilledJar(issuer));

    expect(issuer.checkMac2(old, here, at(10 * cookieSecretLifeMs))).toBe(false);
  });

  test('accepts a cookie for two minutes at least after giving it', () => {
    for (let given = 0; given < 2 * cookieSecretLifeMs; given += 7_777) {
      const issuer = makeIssuer();
      issuer.checkMac2(makeMessage(), here, start);
      const message = signed(makeFilledJar(issuer, at(given)), at(given));
      expect(issuer.checkMac2(message, here, at(given + cookieSecretLifeMs - 1))).toBe(true);
    }
  });
});

describe('the jar', () => {
  test('takes no cookie where it sent nothing', () => {
    const issuer = makeIssuer();
    const message = signed(new CookieJar(suite, publicKey));

    expect(new CookieJar(suite, publicKey).receive(replyTo(issuer, message), offset, start)).toBe(
      'bad-cookie',
    );
  });

  test('takes one cookie per message of its own', () => {
    const issuer = makeIssuer();
    const jar = new CookieJar(suite, publicKey);
    const message = signed(jar);
    const reply = replyTo(issuer, message);

    expect(jar.receive(reply, offset, start)).toBe('ok');
    expect(jar.receive(reply, offset, start)).toBe('bad-cookie');
  });

  test('takes no cookie that answers a message before the last', () => {
    const issuer = makeIssuer();
    const jar = new CookieJar(suite, publicKey);
    const first = signed(jar);
    const second = makeMessage();
    second[4]! ^= 1;
    jar.sign(second, start);

    expect(jar.receive(replyTo(issuer, first), offset, start)).toBe('bad-cookie');
    expect(jar.receive(replyTo(issuer, second), offset, start)).toBe('ok');
  });

  test('refuses a reply with any bit of nonce or cookie changed, and keeps the cookie it had', () => {
    const issuer = makeIssuer();
    const jar = makeFilledJar(issuer);
    const message = signed(jar);
    const reply = replyTo(issuer, message);

    for (let byte = 8; byte < 64; byte++) {
      const changed = reply.slice();
      changed[offset + byte]! ^= 1 << (byte % 8);
      expect(jar.receive(changed, offset, start)).toBe('bad-cookie');
    }
    expect(issuer.checkMac2(signed(jar), here, start)).toBe(true);
  });

  test('uses a cookie for two minutes and no longer', () => {
    const jar = makeFilledJar(makeIssuer());

    expect(signed(jar, at(cookieLifeMs - 1)).subarray(132)).not.toEqual(new Uint8Array(16));
    expect(signed(jar, at(cookieLifeMs)).subarray(132)).toEqual(new Uint8Array(16));
    expect(signed(jar, start).subarray(132)).toEqual(new Uint8Array(16));
  });

  test('forgets its cookie when told', () => {
    const jar = makeFilledJar(makeIssuer());

    jar.forget();

    expect(signed(jar).subarray(132)).toEqual(new Uint8Array(16));
  });

  test('refuses any bytes without throwing', () => {
    const jar = new CookieJar(suite, publicKey);
    jar.sign(makeMessage(), start);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (bytes) => {
        expect(jar.receive(bytes, 0, start)).toBe('bad-cookie');
      }),
      { seed: 64, numRuns: 50 },
    );
  });
});
