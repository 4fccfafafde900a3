import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CapsuleReader,
  datagramCapsuleSize,
  maxDatagramHeaderSize,
  maxDatagramSize,
  writeDatagramHeader,
} from '../../../../../shared/core/masque/capsule.ts';
import { writeVarint } from '../../../../../shared/core/masque/varint.ts';

function capsule(type: number, value: readonly number[]): number[] {
  const head = new Uint8Array(16);
  let size = writeVarint(head, 0, type);
  size += writeVarint(head, size, value.length);
  return [...head.subarray(0, size), ...value];
}

function datagram(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(maxDatagramHeaderSize + payload.length);
  const size = writeDatagramHeader(out, 0, payload.length);
  out.set(payload, size);
  return out.subarray(0, size + payload.length);
}

function readAll(chunks: readonly Uint8Array[]): { payloads: number[][]; isFine: boolean } {
  const payloads: number[][] = [];
  const reader = new CapsuleReader((bytes, start, end) => payloads.push([...bytes.subarray(start, end)]));
  const verdicts = chunks.map((chunk) => reader.push(chunk));
  return { payloads, isFine: verdicts.every(Boolean) };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

describe('datagrams in capsules', () => {
  it('writes type 0, the length with the context, context 0', () => {
    expect([...datagram(Uint8Array.of(7, 8))]).toEqual([0, 3, 0, 7, 8]);
    expect([...datagram(new Uint8Array(1452)).subarray(0, 4)]).toEqual([0, 0x45, 0xad, 0]);
    expect(datagramCapsuleSize(1452)).toBe(1456);
  });

  it('reads what was written, however the stream is cut, and skips what it does not know', () => {
    const part = fc.oneof(
      fc.record({ kind: fc.constant('datagram'), bytes: fc.uint8Array({ maxLength: 3000 }) }),
      fc.record({ kind: fc.constant('unknown'), bytes: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({ kind: fc.constant('context'), bytes: fc.uint8Array({ maxLength: 300 }) }),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), cuts, (parts, sizes) => {
        const stream = parts.flatMap(({ kind, bytes }) => {
          if (kind === 'datagram') return [...datagram(bytes)];
          return kind === 'unknown' ? capsule(0x2575, [...bytes]) : capsule(0, [2, ...bytes]);
        });

        const { payloads, isFine } = readAll(cut(Uint8Array.from(stream), sizes));

        expect(isFine).toBe(true);
        expect(payloads).toEqual(
          parts.filter(({ kind }) => kind === 'datagram').map(({ bytes }) => [...bytes]),
        );
      }),
      { seed: 9297, numRuns: 200 },
    );
  });

  it('takes the largest datagram, byte by byte too', () => {
    const payload = new Uint8Array(maxDatagramSize).fill(5);

    const { payloads, isFine } = readAll(cut(datagram(payload), [1]));

    expect(isFine).toBe(true);
    expect(payloads.map((one) => one.length)).toEqual([maxDatagramSize]);
  });

  it.each([
    ['a datagram longer than UDP has', [0, 0x80, 1, 0, 8]],
    ['a capsule that never ends', [0x17, 0xff, 255, 255, 255, 255, 255, 255, 255]],
    ['a datagram without a context', [0, 0]],
    ['a datagram that ends within its context', [0, 1, 0x40]],
  ])('refuses %s, and all that follows', (_, bytes) => {
    for (const sizes of [[100], [1]]) {
      const reader = new CapsuleReader(() => expect.unreachable());
      const verdicts = cut(Uint8Array.from(bytes), sizes).map((chunk) => reader.push(chunk));

      expect(verdicts.at(-1)).toBe(false);
      expect(reader.push(datagram(Uint8Array.of(1)))).toBe(false);
    }
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const reader = new CapsuleReader((bytes, start, end) => {
          expect(start).toBeLessThanOrEqual(end);
          expect(end).toBeLessThanOrEqual(bytes.length);
        });
        for (const chunk of chunks) reader.push(chunk);
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
