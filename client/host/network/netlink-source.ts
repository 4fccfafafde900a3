/**
 * News of the network from Linux's routing socket, on this thread's event loop. While nothing changes it costs
 * nothing at all. After the first change it stops listening until somebody looks: a storm of changes then only fills
 * the kernel's buffer.
 */

import { type FdWatcher, loadNative, type Native } from '../../../shared/node/ffi/native.ts';
import { NetlinkSocket } from './netlink-socket.ts';
import { type RtMessage, readRtnetlink } from './rtnetlink.ts';
import {
  addressesRequest,
  allGroups,
  linksRequest,
  routesRequest,
  routeToRequest,
} from './rtnetlink-request.ts';
import { maxTargets, type NetworkSnapshot, SnapshotCollector, type Way, wayIn } from './snapshot.ts';
import type { NetworkNews, NetworkSource } from './source.ts';

/** Datagrams of news looked at in one go; what is left is announced again. */
const maxNewsDatagrams = 64;
const maxNewsMessages = 256;
/** Of one list; 64 times 32 KB are far more routes than a laptop has, and a router's table is not read to its end. */
const maxListDatagrams = 64;
/** A list that keeps changing while it is told is taken as it is. */
const maxTries = 3;

export class NetlinkSource implements NetworkSource {
  readonly kind = 'netlink' as const;
  readonly #native: Native;
  readonly #socket: NetlinkSocket;
  #watcher: FdWatcher | undefined;
  #onChange: (() => void) | undefined;

  /** Throws CulvertError 'ffi-unavailable' where the socket cannot be had. */
  constructor(native: Native) {
    this.#native = native;
    this.#socket = new NetlinkSocket(allGroups);
  }

  watch(onChange: () => void): void {
    this.#onChange = onChange;
    this.#listen();
  }

  takeNews(): NetworkNews {
    const messages: RtMessage[] = [];
    let missed = false;
    for (let i = 0; i < maxNewsDatagrams; i++) {
      const got = this.#socket.read();
      if (got === 'empty') break;
      if (got === 'missed') missed = true;
      else messages.push(...readRtnetlink(got).messages);
      if (messages.length > maxNewsMessages) {
        missed = true;
        messages.length = maxNewsMessages;
      }
    }
    this.#listen();
    return { messages, missed };
  }

  read(targets: readonly string[], mark: number): NetworkSnapshot {
    const collector = new SnapshotCollector();
    for (const question of [linksRequest(), addressesRequest(), routesRequest(4), routesRequest(6)]) {
      const { messages, whole } = ask(question);
      for (const message of messages) collector.add(message);
      if (!whole) collector.cutShort();
    }
    return collector.snapshot(waysTo(targets, mark));
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#onChange = undefined;
    this.#socket.close();
  }

  #listen(): void {
    if (this.#onChange === undefined || this.#watcher !== undefined) return;
    this.#watcher = this.#native.watch(this.#socket.fd, () => {
      this.#watcher?.close();
      this.#watcher = undefined;
      this.#onChange?.();
    });
  }
}

interface Told {
  readonly messages: readonly RtMessage[];
  readonly whole: boolean;
}

function ask(question: Uint8Array): Told {
  for (let attempt = 1; ; attempt++) {
    const { told, interrupted } = askOnce(question);
    if (!interrupted || attempt >= maxTries) return told;
  }
}

/** A socket for each question: a list that is not read to its end ends with it. The kernel answers in the same call. */
function askOnce(question: Uint8Array): { readonly told: Told; readonly interrupted: boolean } {
  const socket = new NetlinkSocket(0);
  const messages: RtMessage[] = [];
  let interrupted = false;
  try {
    if (!socket.send(question)) return { told: { messages, whole: false }, interrupted };
    for (let i = 0; i < maxListDatagrams; i++) {
      const got = socket.read();
      if (typeof got === 'string') break;
      const datagram = readRtnetlink(got);
      interrupted ||= datagram.interrupted;
      for (const message of datagram.messages) {
        // An error is an answer, too: this kernel has no such list.
        if (message.kind === 'done' || message.kind === 'error') {
          return { told: { messages, whole: true }, interrupted };
        }
        messages.push(message);
      }
    }
    return { told: { messages, whole: false }, interrupted };
  } finally {
    socket.close();
  }
}

/** Those addresses that datagrams with `mark` have a way to; undefined where the kernel cannot be asked. */
export function reachableAmong(addresses: readonly string[], mark: number): ReadonlySet<string> | undefined {
  if (!loadNative().ok) return undefined;
  try {
    return new Set(waysTo(addresses, mark).map(({ target }) => target));
  } catch {
    return undefined; // No socket left: then everything may be tried.
  }
}

function waysTo(targets: readonly string[], mark: number): readonly Way[] {
  if (targets.length === 0) return [];
  const socket = new NetlinkSocket(0);
  try {
    return targets.slice(0, maxTargets).flatMap((target) => {
      const question = routeToRequest(target, mark);
      if (question === undefined || !socket.send(question)) return [];
      const got = socket.read();
      const way = typeof got === 'string' ? undefined : wayIn(target, readRtnetlink(got).messages);
      return way === undefined ? [] : [way];
    });
  } finally {
    socket.close();
  }
}
