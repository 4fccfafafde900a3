import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { type RangeSum, sumRange } from '../../../../../shared/core/packet/checksum.ts';
import { Coalescer } from '../../../../../shared/core/packet/coalesce.ts';
import { segment } from '../../../../../shared/core/packet/segment.ts';
import {
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  virtioHeaderSize,
} from '../../../../../shared/core/packet/virtio-header.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { type Kernel, loadKernel, maxSumLength } from '../../../../../shared/node/kernel/kernel.ts';
import { fastRangeSum } from '../../../../../shared/node/kernel/range-sum.ts';
import { packetsOf, superPacket } from '../../../../support/batches.ts';
import { naiveChecksum, patternBytes, tcpPacket, udpPacket } from '../../../../support/packets.ts';

const program = fileURLToPath(new URL('../../../../../shared/node/kernel/build-program.ts', import.meta.url));

function compilerIsHere(): boolean {
  try {
    createRequire(program).resolve('assemblyscript/package.json');
    return true;
  } catch {
    return false;
  }
}

const missing = compilerIsHere() ? '' : ' [needs assemblyscript; enable with: npm ci --include=dev]';

describe.skipIf(missing !== '')(`the kernel's source${missing}`, () => {
  test('gives the committed bytes', () => {
    const check = spawnSync(process.execPath, [program, '--check'], { encoding: 'utf8' });

    expect({ status: check.status, said: check.stderr }).toEqual({ status: 0, said: '' });
  });
});

describe('the sum of the kernel', () => {
  const memory = new WorkerMemory(2 * 1024 * 1024, undefined);
  const sum = fastRangeSum(memory);
  const { bytes } = memory;

  test('is the kernel’s, not the one it falls back to', () => {
    expect(sum).not.toBe(sumRange);
  });

  test('is that of plain TypeScript and of the naive way, for any range at any offset', () => {
    const range = fc.record({
      content: fc.uint8Array({ maxLength: 400 }),
      fill: fc.constantFrom(0x00, 0xa5, 0xff),
      offset: fc.nat(130),
    });
    fc.assert(
      fc.property(range, ({ content, fill, offset }) => {
        bytes.fill(fill, 0, 1024);
        bytes.set(content, offset);

        const found = sum(bytes, offset, content.length);

        expect(found).toBe(sumRange(bytes, offset, content.length));
        expect(~found & 0xffff).toBe(naiveChecksum(content));
      }),
      { seed: 31, numRuns: 1000 },
    );
  });

  test('is right for every length up to 300 and around a full packet, at odd offsets too', () => {
    for (let i = 0; i < 4096; i++) bytes[i] = (i * 31 + (i >> 5)) & 0xff;
    for (const offset of [0, 1, 7, 16, 33]) {
      for (let length = 0; length < 1500; length += length === 300 ? 1080 : 1) {
        expect(sum(bytes, offset, length)).toBe(sumRange(bytes, offset, length));
      }
    }
  });

  test('stays exact for the longest range of the largest words, and beyond', () => {
    bytes.fill(0xff);

    for (const length of [
      65_534,
      65_535,
      maxSumLength - 1,
      maxSumLength,
      maxSumLength + 1,
      maxSumLength + 2,
    ]) {
      expect(sum(bytes, 1, length)).toBe(length % 2 === 0 ? 0xffff : 0xff00);
    }
  });

  test('of other memory is computed as well', () => {
    const other = Uint8Array.from({ length: 100 }, (_, i) => i * 7);

    expect(sum(other, 3, 90)).toBe(sumRange(other, 3, 90));
    expect(sum(bytes.subarray(5), 3, 90)).toBe(sumRange(bytes.subarray(5), 3, 90));
  });

  const payload = patternBytes(5001);
  test.each([
    ['TCP over IPv4', gsoTcp4, 20, 16, tcpPacket({ payload })],
    ['TCP over IPv6', gsoTcp6, 40, 16, tcpPacket({ version: 6, payload })],
    ['UDP over IPv6', gsoUdp, 40, 6, udpPacket({ version: 6, payload })],
  ] as const)('cuts and merges like the one of plain TypeScript: %s', (_, type, start, field, packet) => {
    const whole = superPacket(packet, { type, size: 1000, start, field });
    const classes = { tcp4: true, tcp6: true, udp4: true, udp6: true };
    const source = 1024 * 1024;
    bytes.set(whole, source);
    const [ours, theirs] = [sum, sumRange].map((rangeSum: RangeSum) => {
      const batch = new PacketBatch({
        bytes,
        arenaStart: 64,
        arenaEnd: 100_000,
        capacity: 64,
        addressCapacity: 1,
      });
      expect(segment(batch, bytes, source, whole.length - virtioHeaderSize, rangeSum)).toBe('ok');
      const packets = packetsOf(batch);
      const coalescer = new Coalescer({ capacity: 64, ...classes, rangeSum });
      coalescer.plan(batch);
      return { packets, groups: coalescer.groupCount };
    });

    expect(ours!.packets).toHaveLength(6);
    expect(ours).toEqual(theirs);
    expect(ours!.groups).toBe(1);
  });

  test('calls a range outside of the memory a bug', () => {
    expect(() => sum(bytes, bytes.length - 10, 11)).toThrow();
    expect(() => sum(bytes, -1, 11)).toThrow();
    expect(() => sum(bytes, 10, -1)).toThrow();
    expect(sum(bytes, bytes.length - 10, 10)).toBe(sumRange(bytes, bytes.length - 10, 10));
  });
});

describe('the kernel', () => {
  test('is compiled once and runs on each memory for itself', () => {
    const [one, two] = [kernelOn(0x11), kernelOn(0x22)];

    expect(one.sum(64, 2)).toBe(0x1111);
    expect(two.sum(64, 2)).toBe(0x2222);
  });

  test('traps on addresses outside the memory, whatever the caller did', () => {
    const kernel = kernelOn(0);

    expect(() => kernel.seal(64, 65_530, 100, 1, 0, 0)).toThrow('memory access out of bounds');
  });

  test('names a memory that it cannot use', () => {
    const loaded = loadKernel({ buffer: new ArrayBuffer(65_536) });

    expect(loaded).toMatchObject({ ok: false, reason: expect.stringContaining('wasm') });
  });
});

function kernelOn(fill: number): Kernel {
  const memory = new WorkerMemory(65_536, undefined);
  memory.bytes.fill(fill);
  const loaded = loadKernel(memory.wasm);
  if (!loaded.ok) throw new Error(loaded.reason);
  return loaded.kernel;
}
