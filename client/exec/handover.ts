/**
 * Hands descriptors to another process: one message over a unix socket, with SCM_RIGHTS beside its text
 * (unix(7)). Blocking calls, for the moments before a process has an event loop to disturb.
 */

import { assert } from '../../shared/core/base/assert.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { errnoName } from '../../shared/node/ffi/errno.ts';
import { type Libc, requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import * as abi from '../../shared/node/ffi/structs.ts';
import { maxMessageBytes } from './settings.ts';

const scmRights = 1;
const closeOnExec = 0x4000_0000;
const descriptorSize = 4;
const maxDescriptors = 4;

/** Sends `text` and copies of the descriptors, four at most. */
export function sendDescriptors(socket: number, fds: readonly number[], text: string): void {
  assert(fds.length > 0 && fds.length <= maxDescriptors, 'few descriptors go at a time');
  const message = new Message(requireLibc());
  message.fill(Buffer.from(text), fds);
  message.check(message.libc.sendmmsg(socket, message.header, 1, 0));
}

export interface Handed {
  readonly text: string;
  readonly fds: readonly number[];
}

/** Waits for a message. The descriptors are ours then. Undefined where the other side is gone. */
export function receiveDescriptors(socket: number): Handed | undefined {
  const message = new Message(requireLibc());
  message.check(message.libc.recvmmsg(socket, message.header, 1, closeOnExec, 0));
  return message.taken();
}

/** One struct mmsghdr with its parts, in memory that native calls can see. */
class Message {
  readonly libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #header: number;
  readonly #text: number;
  readonly #control: number;
  readonly #vector: number;
  readonly #controlSize = abi.controlSpace(maxDescriptors * descriptorSize);

  constructor(libc: Libc) {
    const memory = new WorkerMemory(1, libc);
    this.libc = libc;
    this.#memory = memory;
    this.#header = memory.alloc(abi.mmsghdr.size);
    this.#text = memory.alloc(maxMessageBytes);
    this.#control = memory.alloc(this.#controlSize);
    this.#vector = memory.alloc(abi.iovec.size);
    memory.putPointer(this.#vector + abi.iovec.base, this.#text);
    memory.putPointer(this.#header + abi.mmsghdr.vectors, this.#vector);
    memory.putSize(this.#header + abi.mmsghdr.vectorCount, 1);
    memory.putPointer(this.#header + abi.mmsghdr.control, this.#control);
    memory.putSize(this.#header + abi.mmsghdr.controlLength, this.#controlSize);
    this.#setTextSize(maxMessageBytes);
  }

  get header(): number {
    return this.#memory.base + this.#header;
  }

  fill(text: Uint8Array, fds: readonly number[]): void {
    const { bytes, view } = this.#memory;
    const payload = fds.length * descriptorSize;
    bytes.set(text, this.#text);
    this.#setTextSize(text.length);
    this.#memory.putSize(this.#header + abi.mmsghdr.controlLength, abi.controlSpace(payload));
    this.#memory.putSize(this.#control + abi.cmsghdr.length, abi.cmsghdr.size + payload);
    view.setInt32(this.#control + abi.cmsghdr.level, abi.SOL_SOCKET, true);
    view.setInt32(this.#control + abi.cmsghdr.type, scmRights, true);
    for (const [i, fd] of fds.entries()) view.setInt32(this.#descriptorAt(i), fd, true);
  }

  check(moved: number): void {
    if (moved === 1) return;
    const number = this.libc.errno();
    throw new CulvertError('exec-failed', {
      text: `The network cannot be handed over (${errnoName(number)}).`,
    });
  }

  taken(): Handed | undefined {
    const { bytes, view } = this.#memory;
    const size = view.getUint32(this.#header + abi.mmsghdr.moved, true);
    const room = view.getUint32(this.#header + abi.mmsghdr.controlLength, true);
    const hasDescriptors =
      room >= abi.cmsghdr.size + descriptorSize &&
      view.getInt32(this.#control + abi.cmsghdr.level, true) === abi.SOL_SOCKET &&
      view.getInt32(this.#control + abi.cmsghdr.type, true) === scmRights;
    if (!hasDescriptors) return undefined;
    const length = view.getUint32(this.#control + abi.cmsghdr.length, true) - abi.cmsghdr.size;
    const count = Math.min(maxDescriptors, Math.floor(length / descriptorSize));
    const fds = Array.from({ length: count }, (_, i) => view.getInt32(this.#descriptorAt(i), true));
    const text = Buffer.from(bytes.subarray(this.#text, this.#text + size)).toString('utf8');
    return { text, fds };
  }

  #descriptorAt(index: number): number {
    return this.#control + abi.cmsghdr.size + index * descriptorSize;
  }

  #setTextSize(size: number): void {
    this.#memory.putSize(this.#vector + abi.iovec.length, size);
  }
}
