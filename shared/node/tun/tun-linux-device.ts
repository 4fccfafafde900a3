/**
 * Opens /dev/net/tun and asks the kernel about the interface behind it. Offloads are asked for step
 * by step; a kernel that refuses one still gives a working, slower interface.
 */

import { existsSync } from 'node:fs';
import { CulvertError, type ErrorCode } from '../../core/control/codes.ts';
import { errno, errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';

/** What calls need. `scratch` is `abi.ifreq.size` bytes of the memory, free for use in every call. */
export interface DeviceContext {
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly scratch: number;
}

/** Which headers and super-packets go over the device. Each level includes those before it. */
export type OffloadLevel = 'none' | 'vnet' | 'tso' | 'uso';

export interface TunDevice {
  readonly fd: number;
  readonly offload: OffloadLevel;
}

const devicePath = '/dev/net/tun';
const interfaceName = /^[A-Za-z0-9_=+.-]{1,15}$/;

/** Opens or makes the interface. Throws CulvertError; nothing stays open then. */
export function openDevice(context: DeviceContext, name: string): TunDevice {
  if (!interfaceName.test(name) || name === '.' || name === '..') {
    throw new CulvertError('bad-interface-name', { text: `'${name}' is no valid interface name.` });
  }
  const { libc } = context;
  const fd = libc.open(devicePath, abi.O_RDWR | abi.O_NONBLOCK | abi.O_CLOEXEC);
  if (fd < 0) throw openError(libc.errno());
  let vnet = attach(context, fd, name, abi.IFF_VNET_HDR);
  // An interface made before by another program may be without the header.
  if (vnet === errno.EINVAL && attach(context, fd, name, 0) === 0) return { fd, offload: 'none' };
  if (vnet === 0 && !acceptHeader(context, fd)) vnet = errno.EINVAL;
  if (vnet !== 0) {
    libc.close(fd);
    throw attachError(vnet, name);
  }
  return { fd, offload: chooseOffload(context, fd) };
}

export function setPersistent(context: DeviceContext, fd: number, persistent: boolean): boolean {
  return context.libc.ioctl(fd, abi.TUNSETPERSIST, persistent ? 1 : 0) === 0;
}

/** The interface's present name (it may be renamed), undefined where it is gone. */
export function nameOf(context: DeviceContext, fd: number): string | undefined {
  const { libc, memory, scratch } = context;
  if (libc.ioctl(fd, abi.TUNGETIFF, memory.base + scratch) !== 0) return undefined;
  const start = scratch + abi.ifreq.name;
  const bytes = memory.bytes.subarray(start, start + abi.ifreq.nameSize);
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
}

/**
 * Asks an interface question by name (SIOCGIF…) through any socket. Undefined where this network
 * namespace has no such interface.
 */
export function askInterface(
  context: DeviceContext,
  socket: number,
  request: number,
  name: string,
): number | undefined {
  const { libc, memory, scratch } = context;
  putName(context, name);
  if (libc.ioctl(socket, request, memory.base + scratch) !== 0) return undefined;
  const value = memory.view.getInt32(scratch + abi.ifreq.value, true);
  return request === abi.SIOCGIFFLAGS ? value & 0xffff : value;
}

/** Sets the MTU. Throws CulvertError 'bad-config' where the system refuses the number. */
export function setInterfaceMtu(context: DeviceContext, socket: number, name: string, mtu: number): void {
  const { libc, memory, scratch } = context;
  putName(context, name);
  memory.view.setInt32(scratch + abi.ifreq.value, mtu, true);
  if (libc.ioctl(socket, abi.SIOCSIFMTU, memory.base + scratch) === 0) return;
  const number = libc.errno();
  throw new CulvertError('bad-config', {
    text: `The system refuses an MTU of ${mtu} (${errnoName(number)}).`,
    remedy: 'Choose an MTU between 576 and 65535, 1280 or more for IPv6.',
    errno: number,
  });
}

/** Sets how many packets may wait for us. False where the system refuses. */
export function setQueueLength(
  context: DeviceContext,
  socket: number,
  name: string,
  packets: number,
): boolean {
  const { libc, memory, scratch } = context;
  putName(context, name);
  memory.view.setInt32(scratch + abi.ifreq.value, packets, true);
  return libc.ioctl(socket, abi.SIOCSIFTXQLEN, memory.base + scratch) === 0;
}

/** 0, or the errno. */
function attach(context: DeviceContext, fd: number, name: string, extraFlags: number): number {
  const { libc, memory, scratch } = context;
  putName(context, name);
  const flags = abi.IFF_TUN | abi.IFF_NO_PI | extraFlags;
  memory.view.setUint16(scratch + abi.ifreq.value, flags, true);
  return libc.ioctl(fd, abi.TUNSETIFF, memory.base + scratch) === 0 ? 0 : libc.errno();
}

/** Asks for the header of ten bytes that core/packet knows. */
function acceptHeader(context: DeviceContext, fd: number): boolean {
  const { libc, memory, scratch } = context;
  memory.view.setInt32(scratch, 10, true);
  return libc.ioctl(fd, abi.TUNSETVNETHDRSZ, memory.base + scratch) === 0;
}

function chooseOffload(context: DeviceContext, fd: number): OffloadLevel {
  const { libc } = context;
  const tso = abi.TUN_F_CSUM | abi.TUN_F_TSO4 | abi.TUN_F_TSO6;
  if (libc.ioctl(fd, abi.TUNSETOFFLOAD, tso) !== 0) return 'vnet';
  const uso = tso | abi.TUN_F_USO4 | abi.TUN_F_USO6;
  return libc.ioctl(fd, abi.TUNSETOFFLOAD, uso) === 0 ? 'uso' : 'tso';
}

function putName(context: DeviceContext, name: string): void {
  const { memory, scratch } = context;
  memory.bytes.fill(0, scratch, scratch + abi.ifreq.size);
  for (let i = 0; i < name.length && i < abi.ifreq.nameSize - 1; i++) {
    memory.bytes[scratch + i] = name.charCodeAt(i);
  }
}

function openError(number: number): CulvertError {
  if (number === errno.ENOENT || number === errno.ENODEV || number === errno.ENXIO) {
    return new CulvertError('no-tun', { errno: number });
  }
  if (number === errno.EACCES || number === errno.EPERM) {
    return new CulvertError('not-root', { text: `${devicePath} may not be opened.`, errno: number });
  }
  return new CulvertError('no-tun', {
    text: `${devicePath} cannot be opened (${errnoName(number)}).`,
    errno: number,
  });
}

function attachError(number: number, name: string): CulvertError {
  // EINVAL is also the answer where the name belongs to an interface of another kind.
  const taken = number === errno.EBUSY || existsSync(`/sys/class/net/${name}`);
  let code: ErrorCode = 'bad-interface-name';
  if (number === errno.EPERM || number === errno.EACCES) code = 'not-root';
  else if (taken) code = 'interface-exists';
  const texts: Partial<Record<ErrorCode, string>> = {
    'interface-exists': `An interface named ${name} exists already.`,
    'bad-interface-name': `The system refuses the interface name ${name} (${errnoName(number)}).`,
    'not-root': `Making the interface ${name} needs root or CAP_NET_ADMIN.`,
  };
  const text = texts[code];
  return new CulvertError(code, { errno: number, ...(text === undefined ? {} : { text }) });
}
