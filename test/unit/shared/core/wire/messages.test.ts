// All codecs of messages under the same round trip: encode, decode, length, offset, room, every truncation.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cookieReplySize,
  readCookieReply,
  writeCookieReply,
} from '../../../../../shared/core/wire/cookie-reply.ts';
import {
  initiationSize,
  readInitiation,
  writeInitiation,
} from '../../../../../shared/core/wire/initiation.ts';
import { classify, type MessageType, messageType } from '../../../../../shared/core/wire/message.ts';
import { readResponse, responseSize, writeResponse } from '../../../../../shared/core/wire/response.ts';

const guard = 0xc3;
const runs = { seed: 148, numRuns: 50 };
const index = fc.nat({ max: 2 ** 32 - 1 });
const bytes = (size: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: size, maxLength: size });

interface Codec<Message> {
  readonly name: string;
  readonly type: MessageType;
  readonly size: number;
  /** Bytes that the encoder writes; macs follow. */
  readonly written: number;
  readonly message: fc.Arbitrary<Message>;
  readonly write: (message: Message, out: Uint8Array, offset: number) => void;
  readonly read: (bytes: Uint8Array, offset: number) => Message;
  /** The message as the paper lays it out, built a second time. */
  readonly layout: (message: Message) => readonly (number | Uint8Array)[];
}

const initiation: Codec<ReturnType<typeof readInitiation>> = {
  name: 'a handshake initiation',
  type: messageType.initiation,
  size: initiationSize,
  written: 116,
  message: fc.record({
    sender: index,
    ephemeral: bytes(32),
    sealedStatic: bytes(48),
    sealedTimestamp: bytes(28),
  }),
  write: writeInitiation,
  read: readInitiation,
  layout: (m) => [1, m.sender, m.ephemeral, m.sealedStatic, m.sealedTimestamp],
};

const response: Codec<ReturnType<typeof readResponse>> = {
  name: 'a handshake response',
  type: messageType.response,
  size: responseSize,
  written: 60,
  message: fc.record({ sender: index, receiver: index, ephemeral: bytes(32), sealedNothing: bytes(16) }),
  write: writeResponse,
  read: readResponse,
  layout: (m) => [2, m.sender, m.receiver, m.ephemeral, m.sealedNothing],
};

const cookieReply: Codec<ReturnType<typeof readCookieReply>> = {
  name: 'a cookie reply',
  type: messageType.cookieReply,
  size: cookieReplySize,
  written: 64,
  message: fc.record({ receiver: index, nonce: bytes(24), sealedCookie: bytes(32) }),
  write: writeCookieReply,
  read: readCookieReply,
  layout: (m) => [3, m.receiver, m.nonce, m.sealedCookie],
};

describe('the sizes of messages', () => {
  test('are those of the paper', () => {
    expect([initiationSize, responseSize, cookieReplySize]).toEqual([148, 92, 64]);
  });
});

roundTrip(initiation);
roundTrip(response);
roundTrip(cookieReply);

function roundTrip<Message>(codec: Codec<Message>): void {
  describe(codec.name, () => {
    test('reads back what was written, at any offset in any memory', () => {
      fc.assert(
        fc.property(codec.message, fc.nat({ max: 40 }), fc.nat({ max: 40 }), (message, offset, rest) => {
          const memory = new Uint8Array(offset + codec.size + rest).fill(guard);

          codec.write(message, memory, offset);

          expect(codec.read(memory, offset)).toEqual(message);
          expect(classify(memory, offset, codec.size)).toBe(codec.type);
        }),
        runs,
      );
    });

    test('is laid out as the paper says, and nothing beside it is written', () => {
      fc.assert(
        fc.property(codec.message, (message) => {
          const memory = new Uint8Array(codec.size + 20).fill(guard);

          codec.write(message, memory, 10);

          const laidOut = codec.layout(message).flatMap((field) => {
            if (typeof field !== 'number') return [...field];
            return [field & 255, (field >>> 8) & 255, (field >>> 16) & 255, field >>> 24];
          });
          expect(laidOut).toHaveLength(codec.written);
          expect([...memory.subarray(10, 10 + codec.written)]).toEqual(laidOut);
          expect(memory.subarray(0, 10).every((byte) => byte === guard)).toBe(true);
          expect(memory.subarray(10 + codec.written).every((byte) => byte === guard)).toBe(true);
        }),
        runs,
      );
    });

    test('is refused at every other length', () => {
      const [message] = fc.sample(codec.message, { seed: 1, numRuns: 1 });
      const memory = new Uint8Array(codec.size + 50);
      codec.write(message!, memory, 0);

      for (let length = 0; length <= codec.size + 50; length++) {
        const expected = length < 4 ? 'too-short' : length === codec.size ? codec.type : 'wrong-length';
        expect(classify(memory, 0, length)).toBe(expected);
      }
    });

    test('is neither read nor written where it has no room: that is a bug', () => {
      const [message] = fc.sample(codec.message, { seed: 2, numRuns: 1 });
      const memory = new Uint8Array(codec.size);

      expect(() => codec.write(message!, memory, 1)).toThrow('inside its memory');
      expect(() => codec.read(memory, 1)).toThrow('inside its memory');
      expect(() => codec.read(memory.subarray(1), 0)).toThrow('inside its memory');
    });
  });
}
