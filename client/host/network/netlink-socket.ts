/**
 * A socket of Linux's routing messages (man 7 netlink), by native calls. Needs no privilege: asking and listening are
 * free to everybody. Only the kernel can send to it; other programs would need privileges, and no message makes us do
 * more than look again.
 */

import { CulvertError } from '../../../shared/core/control/codes.ts';
import { errno, errnoName } from '../../../shared/node/ffi/errno.ts';
import { type Libc, requireLibc } from '../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../shared/node/ffi/memory.ts';
import { SO_RCVBUF, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET } from '../../../shared/node/ffi/structs.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;
/** struct sockaddr_nl: family, padding, port, groups. */
const sockaddrNl = { size: 12, family: 0, groups: 8 } as const;
/** The kernel cuts its lists for buffers of this size. */
const bufferSize = 32 * 1024;
const receiveBufferBytes = 1024 * 1024;

export class NetlinkSocket {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #buffer: number;
  #isClosed = false;

  /** `groups`: announcements to join, as bits; 0 for questions only. `protocol`: routing by default. Throws CulvertError. */
  constructor(groups: number, protocol: number = NETLINK_ROUTE) {
    const libc = requireLibc();
    this.#libc = libc;
    this.fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (this.fd < 0) throw failure('socket', libc.errno());
    this.#memory = new WorkerMemory(2 * bufferSize, libc);
    this.#buffer = this.#memory.alloc(bufferSize);
    if (groups !== 0) this.#option(SOL_SOCKET, SO_RCVBUF, receiveBufferBytes);
    // Older kernels do not know it and tell more than was asked for.
    this.#option(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    const { view, base } = this.#memory;
    const name = this.#memory.alloc(sockaddrNl.size);
    view.setUint16(name + sockaddrNl.family, AF_NETLINK, true);
    view.setUint32(name + sockaddrNl.groups, groups, true);
    if (libc.bind(this.fd, base + name, sockaddrNl.size) !== 0) {
      const code = libc.errno();
      this.close();
      throw failure('bind', code);
    }
  }

  /** Asks the kernel. False where it refuses. */
  send(request: Uint8Array): boolean {
    return this.#libc.writeBytes(this.fd, request) === request.length;
  }

  /** One datagram, borrowed until the next call; 'empty' where there is none, 'missed' where the kernel dropped some. */
  read(): Uint8Array | 'empty' | 'missed' {
    const length = this.#libc.read(this.fd, this.#memory.base + this.#buffer, bufferSize);
    if (length >= 0) return this.#memory.bytes.subarray(this.#buffer, this.#buffer + length);
    return this.#libc.errno() === errno.ENOBUFS ? 'missed' : 'empty';
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#libc.close(this.fd);
    this.#memory.close();
  }

  #option(level: number, name: number, value: number): void {
    const at = this.#memory.alloc(4);
    this.#memory.view.setInt32(at, value, true);
    this.#libc.setsockopt(this.fd, level, name, this.#memory.base + at, 4);
  }
}

function failure(call: string, code: number): CulvertError {
  const text = `The routing socket of the system cannot be opened (${call}: ${errnoName(code)}).`;
  return new CulvertError('ffi-unavailable', { text, errno: code });
}
