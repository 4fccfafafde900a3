/**
 * Says when somebody changed the firewall of this machine: announcements of nf_tables (NFNLGRP_NFTABLES, man 7
 * netlink). While nothing changes it costs nothing. Needs CAP_NET_ADMIN. It does not read what changed.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import { type FdWatcher, loadNative, type Native } from '../../../shared/node/ffi/native.ts';
import { NetlinkSocket } from '../network/netlink-socket.ts';

const NETLINK_NETFILTER = 12;
/** NFNLGRP_NFTABLES is group 7. */
const nftablesGroup = 1 << 6;
/** Changes come in swarms; a multiple of it is the most that one goes unseen. */
export const settleMs = 50;
/** Datagrams forgotten in one go; what is left is announced again. */
const maxDatagrams = 256;

export interface FirewallWatch {
  /** Idempotent. */
  close(): void;
}

/** Undefined where the announcements cannot be had, which is said. */
export function watchFirewall(onChange: () => void, log: Log): FirewallWatch | undefined {
  const loaded = loadNative();
  const why = loaded.ok ? undefined : loaded.reason;
  try {
    if (loaded.ok) return new NetlinkFirewallWatch(loaded.native, onChange);
  } catch (error) {
    log.info('changes of the firewall by others are not seen', { text: String(error) });
    return undefined;
  }
  log.info('changes of the firewall by others are not seen', { text: why ?? '' });
  return undefined;
}

class NetlinkFirewallWatch implements FirewallWatch {
  readonly #native: Native;
  readonly #onChange: () => void;
  readonly #socket: NetlinkSocket;
  #watcher: FdWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(native: Native, onChange: () => void) {
    this.#native = native;
    this.#onChange = onChange;
    this.#socket = new NetlinkSocket(nftablesGroup, NETLINK_NETFILTER);
    this.#listen();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#socket.close();
  }

  /** After the first announcement it listens no more until the swarm is over. */
  #listen(): void {
    if (this.#isClosed) return;
    this.#watcher = this.#native.watch(this.#socket.fd, () => {
      this.#watcher?.close();
      this.#watcher = undefined;
      if (this.#isClosed) return;
      this.#timer = setTimeout(() => {
        for (let i = 0; i < maxDatagrams && this.#socket.read() !== 'empty'; i++);
        this.#onChange();
        this.#listen();
      }, settleMs);
    });
  }
}
