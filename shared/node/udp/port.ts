/**
 * UdpPort: the outside of a tunnel. Implementations share this contract and its test suite:
 * udp-linux.ts (batched by FFI), udp-dgram.ts (portable), udp-memory.ts (tests).
 */

import type { PacketBatch } from '../../core/packet/batch.ts';

export interface UdpPort {
  /** For `status`: for example 'linux gso gro', 'dgram'. */
  readonly description: string;
  /** The bound port, 0 while closed. */
  readonly localPort: number;
  /** File descriptors that poll(2) can wait for; empty where the implementation is event driven. */
  readonly pollFds: readonly number[];
  /** Set by an event driver: called when datagrams wait. Ignored by implementations with pollFds. */
  onReadable: (() => void) | undefined;
  /**
   * Opens IPv4 and IPv6 sockets on `port` (0 = any, the same for both), closing those open before.
   * On failure throws a CulvertError-like `{code}` error with `errno` and leaves the old sockets as they were.
   * Asynchronous implementations return a promise.
   */
  bind(port: number): void | Promise<void>;
  /** Datagrams lost on receipt for want of room, ever; absent where it cannot happen. */
  readonly receiveDrops?: number;
  /** Firewall mark (SO_MARK) of outgoing datagrams, 0 = none; also kept across `bind`. */
  setMark(mark: number): void;
  /**
   * Reads what waits, without blocking, until the batch is full or nothing is left. Bytes land in the
   * batch's own arena, with headroom as PacketBatch promises; one address record per sender run.
   * Returns the number of datagrams appended. `ready`: bit i says that pollFds[i] has something; absent,
   * all are tried.
   */
  readBatch(batch: PacketBatch, ready?: number): number;
  /**
   * Sends every datagram, without blocking. Consecutive datagrams to one address may travel as one
   * train. Datagrams that the system refuses are dropped; returns how many.
   * The batch is borrowed until return and not changed.
   */
  writeBatch(batch: PacketBatch): number;
  close(): void;
}

/** A port that binds at once or throws, as a worker without an event loop needs. */
export type ImmediateUdpPort = Omit<UdpPort, 'bind'> & { bind(port: number): void };
