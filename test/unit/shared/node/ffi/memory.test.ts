import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../../shared/core/base/assert.ts';
import { errno, errnoName } from '../../../../../shared/node/ffi/errno.ts';
import { ffiAvailable, type Libc } from '../../../../../shared/node/ffi/libc.ts';
import { maxMemoryBytes, WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { EFD_NONBLOCK, MAP_FIXED } from '../../../../../shared/node/ffi/structs.ts';

/** A memory at an address that takes more than 32 bits, close to where the lower half overflows. */
const highAddress = { addressOf: () => 0x7fff_ffff_f000, memfdCreate: () => -1 } as unknown as Libc;

describe('WorkerMemory', () => {
  test('hands out aligned room that never overlaps and never begins at 0', () => {
    const memory = new WorkerMemory(65_536, undefined);

    const a = memory.alloc(3);
    const b = memory.alloc(10, 64);
    const c = memory.alloc(1, 1);

    expect(a).toBeGreaterThan(0);
    expect(b % 64).toBe(0);
    expect(b).toBeGreaterThanOrEqual(a + 3);
    expect(c).toBe(b + 10);
    expect(memory.free).toBe(65_536 - c - 1);
  });

  test('asking for more than there is is a bug', () => {
    const memory = new WorkerMemory(1, undefined);

    expect(memory.bytes.length).toBe(65_536);
    expect(() => memory.alloc(65_536)).toThrow(AssertionError);
    expect(() => new WorkerMemory(maxMemoryBytes + 1, undefined)).toThrow(AssertionError);
  });

  test('sizes and pointers are 64 bits, little-endian', () => {
    const memory = new WorkerMemory(65_536, highAddress);
    const at = memory.alloc(16);

    memory.putPointer(at, 0x1234);
    memory.putSize(at + 8, 0xffff_fff0);

    expect(memory.view.getBigUint64(at, true)).toBe(0x8000_0000_0234n);
    expect(memory.view.getBigUint64(at + 8, true)).toBe(0xffff_fff0n);
  });

  const ffi = ffiAvailable();
  test.runIf(ffi.ok)('its address is the one that the system writes to', () => {
    if (!ffi.ok) return;
    const memory = new WorkerMemory(65_536, ffi.libc);
    const at = memory.alloc(8);
    const fd = ffi.libc.eventfd(7, 0);

    expect(ffi.libc.read(fd, memory.base + at, 8)).toBe(8);

    ffi.libc.close(fd);
    expect(memory.bytes[at]).toBe(7);
  });

  test.runIf(ffi.ok)('its address is below 2 GiB, one of its own each, until it is closed', () => {
    if (!ffi.ok) return;
    const first = new WorkerMemory(65_536, ffi.libc);
    const second = new WorkerMemory(65_536, ffi.libc);
    const fd = ffi.libc.eventfd(1, EFD_NONBLOCK);
    const reads = (memory: WorkerMemory): boolean => ffi.libc.read(fd, memory.base + 64, 8) === 8;

    expect(Math.max(first.base, second.base) + 65_536).toBeLessThan(2 ** 31);
    expect(reads(first)).toBe(true);
    expect([first.bytes[64], second.bytes[64]]).toEqual([1, 0]);

    first.close();
    first.close();
    const nudge = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
    ffi.libc.writeBytes(fd, nudge);

    expect(reads(first)).toBe(false);
    expect(ffi.libc.errno()).toBe(errno.EFAULT);
    ffi.libc.writeBytes(fd, nudge);
    expect(reads(second)).toBe(true);
    // What was in it is still there for us.
    expect(first.bytes[64]).toBe(1);
    ffi.libc.close(fd);
  });

  test.runIf(ffi.ok)('works at its high address where the system gives no low one', () => {
    if (!ffi.ok) return;
    const { libc } = ffi;
    const refusals: readonly Partial<Libc>[] = [
      { memfdCreate: () => -1 },
      { ftruncate: () => -1 },
      { mmap: () => -1 },
      // The low one is there, but it cannot be put in the place of the first.
      {
        mmap: (place, protection, flags, fd) =>
          flags & MAP_FIXED ? -1 : libc.mmap(place, protection, flags, fd),
      },
    ];
    for (const refusal of refusals) {
      const memory = new WorkerMemory(65_536, { ...libc, ...refusal });
      const fd = libc.eventfd(9, 0);

      expect(memory.base).toBeGreaterThan(2 ** 31);
      expect(libc.read(fd, memory.base + 64, 8)).toBe(8);
      expect(memory.bytes[64]).toBe(9);
      libc.close(fd);
    }
  });
});

describe('errno', () => {
  test('numbers have names, unknown ones say their number', () => {
    expect(errnoName(errno.EADDRINUSE)).toBe('EADDRINUSE');
    expect(errnoName(98)).toBe('EADDRINUSE');
    expect(errnoName(4321)).toBe('errno 4321');
  });

  const ffi = ffiAvailable();
  test.runIf(ffi.ok)('a failed call tells its reason', () => {
    if (!ffi.ok) return;

    expect(ffi.libc.read(-1, 0, 0)).toBe(-1);
    expect(ffi.libc.errno()).toBe(errno.EBADF);
    expect(ffi.libc.ioctl(-1, 1, 0)).toBe(-1);
    expect(ffi.libc.open('/dev/null/no', 0)).toBe(-1);
  });
});
