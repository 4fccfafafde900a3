import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../../shared/core/base/assert.ts';
import { errno, errnoName } from '../../../../../shared/node/ffi/errno.ts';
import { ffiAvailable, type Libc } from '../../../../../shared/node/ffi/libc.ts';
import { maxMemoryBytes, WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';

/** A memory at an address that takes more than 32 bits, close to where the lower half overflows. */
const highAddress = { addressOf: () => 0x7fff_ffff_f000 } as unknown as Libc;

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
