// Sockets with a source address of their own do not use up the machine's ports.
import { expect, test } from 'vitest';
import { openBoundTcp } from '../../edge/egress/bind-device.ts';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { describeWith } from '../support/requires.ts';

/** Of an address in memory that stays where it is. */
const name = new Uint8Array(128);
const length = new Uint8Array(128);

function boundTo(fd: number): { readonly address: Uint8Array; readonly port: number } {
  const libc = requireLibc();
  new DataView(length.buffer).setUint32(0, name.length, true);
  expect(libc.getsockname(fd, libc.addressOf(name), libc.addressOf(length))).toBe(0);
  const isFour = name[0] === 2;
  const port = (name[2] ?? 0) * 256 + (name[3] ?? 0);
  return { address: isFour ? name.slice(4, 8) : name.slice(8, 24), port };
}

describeWith({ ffi: true }, 'a socket with an address of its own', () => {
  test.each([
    ['IPv4', Uint8Array.of(127, 0, 0, 5)],
    ['IPv6', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
  ] as const)('has no port before it connects (%s)', (_family, address) => {
    const fd = openBoundTcp(address, undefined);
    expect(fd).toBeGreaterThan(0);
    try {
      expect(boundTo(fd ?? -1)).toEqual({ address, port: 0 });
    } finally {
      requireLibc().close(fd ?? -1);
    }
  });

  test('cannot be had for an address that is not of this machine', () => {
    expect(openBoundTcp(Uint8Array.of(203, 0, 113, 77), undefined)).toBeUndefined();
  });
});
