/**
 * What of an upload arrives: our own count of what was sent beside the edge's of what it has of us. Asked over TLS outside
 * the tunnel, since a network that throttles UDP holds up the question, too.
 */

import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { Connected } from '../connection/state.ts';
import type { Arrivals } from './slow-udp.ts';

/** Bytes that the edge has of this device; undefined where it does not say. May reject. */
export interface EdgeCount {
  ask(): Promise<number | undefined>;
  close(): void;
}

export interface UploadCountParts {
  readonly statusOf: (state: Connected) => Promise<Pick<DeviceStatus, 'peers'> | undefined>;
  /** A connection that further questions use, too. Undefined where the edge cannot be asked. */
  readonly open: (state: Connected) => EdgeCount | undefined;
}

/** Counts are of bytes; the watch thinks in datagrams. */
const datagramBytes = 1400;

interface Base {
  readonly edge: string;
  readonly sent: number;
  readonly arrived: number;
}

export class UploadCount {
  readonly #parts: UploadCountParts;
  #count: EdgeCount | undefined;
  #base: Base | undefined;
  /** Counts the rests: a look that one overtook must open nothing. */
  #rests = 0;

  constructor(parts: UploadCountParts) {
    this.#parts = parts;
  }

  /** May reject. What is under way counts as lost, until it arrives. Undefined too where a rest came meanwhile. */
  async look(state: Connected): Promise<Arrivals | undefined> {
    const rests = this.#rests;
    const status = await this.#parts.statusOf(state);
    if (rests !== this.#rests) return undefined;
    this.#count ??= this.#parts.open(state);
    const arrived = await this.#count?.ask();
    if (status === undefined || arrived === undefined || rests !== this.#rests) return undefined;
    const sent = status.peers.reduce((sum, { txBytes }) => sum + txBytes, 0);
    const { edge } = state;
    const known = this.#base;
    const isSame =
      known !== undefined && known.edge === edge && sent >= known.sent && arrived >= known.arrived;
    const base = isSame ? known : { edge, sent, arrived };
    this.#base = base;
    const lost = Math.max(0, sent - base.sent - (arrived - base.arrived));
    return { rxBytes: arrived, received: arrived / datagramBytes, lost: lost / datagramBytes };
  }

  /** Idempotent; the next look begins anew. */
  rest(): void {
    this.#rests++;
    this.#count?.close();
    this.#count = undefined;
    this.#base = undefined;
  }
}
