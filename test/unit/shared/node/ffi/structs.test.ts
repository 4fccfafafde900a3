import koffi from 'koffi';
import { describe, expect, test } from 'vitest';
import * as abi from '../../../../../shared/node/ffi/structs.ts';

/** The FFI library lays out C structs by the rules of this machine's compiler. */
const ucontrol = koffi.struct({ length: 'size_t', level: 'int', type: 'int' });
const iovec = koffi.struct({ base: 'void *', length: 'size_t' });
const msghdr = koffi.struct({
  name: 'void *',
  nameLength: 'uint32_t',
  vectors: 'void *',
  vectorCount: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
const mmsghdr = koffi.struct({ header: msghdr, moved: 'uint32_t' });
const sockaddrIn = koffi.struct({
  family: 'uint16_t',
  port: 'uint16_t',
  address: 'uint32_t',
  zero: koffi.array('uint8_t', 8),
});
const sockaddrIn6 = koffi.struct({
  family: 'uint16_t',
  port: 'uint16_t',
  flow: 'uint32_t',
  address: koffi.array('uint8_t', 16),
  scope: 'uint32_t',
});
const inPktinfo = koffi.struct({ interface: 'int', source: 'uint32_t', destination: 'uint32_t' });
const in6Pktinfo = koffi.struct({ address: koffi.array('uint8_t', 16), interface: 'uint32_t' });
const pollfd = koffi.struct({ fd: 'int', events: 'short', revents: 'short' });

describe.runIf(process.platform === 'linux')('layouts agree with the FFI library', () => {
  test.each([
    ['iovec', iovec, abi.iovec],
    ['cmsghdr', ucontrol, abi.cmsghdr],
    ['sockaddr_in', sockaddrIn, abi.sockaddrIn],
    ['sockaddr_in6', sockaddrIn6, abi.sockaddrIn6],
    ['in_pktinfo', inPktinfo, abi.inPktinfo],
    ['in6_pktinfo', in6Pktinfo, abi.in6Pktinfo],
    ['pollfd', pollfd, abi.pollfd],
  ] as const)('struct %s', (_name, type, layout) => {
    const { size, ...offsets } = layout;

    expect(koffi.sizeof(type)).toBe(size);
    for (const [member, offset] of Object.entries(offsets)) expect(koffi.offsetof(type, member)).toBe(offset);
  });

  test('struct mmsghdr', () => {
    const { size, moved, ...offsets } = abi.mmsghdr;

    expect(koffi.sizeof(mmsghdr)).toBe(size);
    expect(koffi.offsetof(mmsghdr, 'moved')).toBe(moved);
    for (const [member, offset] of Object.entries(offsets))
      expect(koffi.offsetof(msghdr, member)).toBe(offset);
  });

  test('a control message takes its header and its payload, rounded up to 8', () => {
    expect([1, 2, 4, 8, 12, 20].map(abi.controlSpace)).toEqual([24, 24, 24, 24, 32, 40]);
  });
});
