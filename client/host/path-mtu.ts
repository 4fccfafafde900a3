/**
 * Keeps the tunnel's interface as wide as the path carries and no wider: sends the probes that liveness/path-mtu.ts asks
 * for, padded questions to the edge's own resolver inside the tunnel, and sets the interface to what passed. The far side
 * learns it too, by the segment size that our TCP announces. For edges of ours and whole-device modes; decides nothing.
 */

import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { readU16BE } from '../../shared/core/base/bytes.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { afterIdle } from '../../shared/node/idle-timer.ts';
import { floorMtu, type MtuProbe, PathMtu } from '../liveness/path-mtu.ts';

export interface MtuPlan {
  /** The edge's resolver, and our address of the same family. */
  readonly address: string;
  readonly port: number;
  readonly from: string;
  readonly interfaceName: string;
  /** What the interface was set to. */
  readonly most: number;
}

export interface MtuKeeperOptions {
  readonly setMtu: (interfaceName: string, mtu: number) => Promise<void>;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Tests give others. */
  readonly open?: (plan: MtuPlan, onAnswer: (id: number) => void) => ProbeSocket;
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

export interface ProbeSocket {
  /** The packet must be `size` bytes long, headers included. */
  send(probe: MtuProbe): void;
  close(): void;
}

/** Bytes of the IP and UDP headers of a probe. */
const headers = { v4: 28, v6: 48 };
const edgeName = 'edge.culvert';

export class MtuKeeper {
  readonly #options: MtuKeeperOptions;
  #plan: MtuPlan | undefined;
  #search: PathMtu | undefined;
  #socket: ProbeSocket | undefined;
  #cancel: (() => void) | undefined;
  #set = 0;
  #isPaused = false;
  #last: Promise<void> = Promise.resolve();

  constructor(options: MtuKeeperOptions) {
    this.#options = options;
  }

  /** What passes where that is less than the tunnel asked for; undefined where nothing is lost, or nobody knows. */
  get reduced(): number | undefined {
    return this.#plan !== undefined && this.#set < this.#plan.most ? this.#set : undefined;
  }

  /** Not even the least passes. */
  get isBroken(): boolean {
    return this.#search?.phase === 'broken';
  }

  start(plan: MtuPlan): void {
    this.stop();
    if (plan.most <= floorMtu) return;
    const { clock, open = openSocket } = this.#options;
    this.#plan = plan;
    this.#set = plan.most;
    this.#search = new PathMtu({ most: plan.most }, clock.now());
    this.#socket = open(plan, (id) => this.#answered(id));
    this.#go();
  }

  /** Another network: what was known holds no longer. */
  handleMove(): void {
    const { clock } = this.#options;
    if (this.#plan === undefined || this.#isPaused) return;
    this.#search?.handleNetworkChange({ most: this.#plan.most }, clock.now());
    this.#go();
  }

  /** Small packets pass and data does not get on. */
  handleSuspicion(): void {
    if (this.#isPaused) return;
    this.#search?.handleSuspicion(this.#options.clock.now());
    this.#go();
  }

  /** The edge is silent: what is lost says nothing about sizes. Nothing is asked or believed until `resume`. */
  pause(): void {
    this.#isPaused = true;
    this.#go();
  }

  /** The edge is heard again: what was lost shortly before is void, and the size in use is tried first. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#plan === undefined) return;
    this.#search?.handleNetworkChange({ most: this.#plan.most, hint: this.#set }, this.#options.clock.now());
    this.#go();
  }

  /** Idempotent. The interface stays as it is: it ends with the tunnel. */
  stop(): void {
    this.#isPaused = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#socket?.close();
    this.#socket = undefined;
    this.#search = undefined;
    this.#plan = undefined;
  }

  #answered(id: number): void {
    if (this.#isPaused) return;
    this.#search?.handleAnswer(id, this.#options.clock.now());
    this.#go();
  }

  #go(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const search = this.#search;
    if (search === undefined || this.#isPaused) return;
    for (let probe = search.takeProbe(); probe !== undefined; probe = search.takeProbe()) {
      this.#socket?.send(probe);
    }
    this.#apply(search);
    const next = search.nextTimeout();
    if (next === undefined) return;
    const { clock, schedule = afterIdle } = this.#options;
    this.#cancel = schedule(
      () => {
        search.handleTimeout(clock.now());
        if (search === this.#search) this.#go();
      },
      Math.max(1, Math.ceil(next.at - clock.now())),
    );
  }

  /** While it is searched upwards the interface stays wide until something is known to be lost. */
  #apply(search: PathMtu): void {
    const { setMtu, onChange, log } = this.#options;
    const plan = this.#plan;
    if (plan === undefined || (search.phase !== 'complete' && search.phase !== 'broken')) return;
    const { mtu } = search;
    if (mtu === this.#set) return;
    this.#set = mtu;
    log.info('the path carries another packet size', { mtu, asked: plan.most });
    this.#last = this.#last
      .then(() => setMtu(plan.interfaceName, mtu))
      .catch((error: unknown) => {
        log.warn('the packet size of the tunnel could not be set', { text: String(error) });
      });
    onChange();
  }
}

function openSocket(plan: MtuPlan, onAnswer: (id: number) => void): ProbeSocket {
  const { address, port, from } = plan;
  const overhead = isIPv6(address) ? headers.v6 : headers.v4;
  const socket: Socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  // A probe that cannot be sent is one that does not pass.
  socket.on('error', () => undefined);
  socket.on('message', (bytes) => {
    if (bytes.length >= 2) onAnswer(readU16BE(new Uint8Array(bytes), 0));
  });
  socket.bind(0, from);
  return {
    send: ({ id, size }) => {
      const padTo = size - overhead;
      const edns = { udpSize: 1232, padTo };
      const query = writeQuery({ id, name: edgeName, type: recordType.a, edns });
      if (query?.length === padTo) socket.send(query, port, address, () => undefined);
    },
    close: () => {
      try {
        socket.close();
      } catch {
        // Closed by its error.
      }
    },
  };
}
