/**
 * What the edge saw of one device, told to that device alone (core/registration/diagnosis-api.ts). Remembers when
 * devices moved, bounded, in memory only; everything else is the tunnel's own counters.
 */

import { formatEndpoint } from '../../shared/core/base/ip.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import {
  type DeviceDiagnosis,
  handshakeRefusals,
  type TunnelSight,
} from '../../shared/core/registration/diagnosis-api.ts';
import type { DeviceStatus, PeerStatus } from '../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../shared/core/tunnel/events.ts';
import { keyText } from '../peers/peer-changes.ts';

/** Moves older than this say nothing about the network of now. */
const movesMs = 5 * minuteMs;
const maxMoves = 20;
const maxDevices = 4096;
const heardMs = 10 * minuteMs;
/** Many questions at once look at the tunnel once. */
const freshMs = 500;

/** The part of a diagnosis that the tunnel knows. */
export type Sight = Pick<DeviceDiagnosis, 'spent' | 'tunnel' | 'refused' | 'othersHeard'>;

export interface SightingsParts {
  readonly status: () => Promise<Pick<DeviceStatus, 'peers' | 'drops'>>;
  /** Whose key that is, keys for one session included; absent: nobody's but those that are asked about. */
  readonly ownerOf?: (publicKey: Uint8Array) => string | undefined;
  readonly unixNow: () => UnixMs;
}

export class Sightings {
  readonly #parts: SightingsParts;
  /** By public key, the device that moved last at the end. */
  readonly #moves = new Map<string, UnixMs[]>();
  #last: { readonly at: UnixMs; readonly status: ReturnType<SightingsParts['status']> } | undefined;

  constructor(parts: SightingsParts) {
    this.#parts = parts;
  }

  handleEvent(event: TunnelEvent): void {
    if (event.kind !== 'roamed') return;
    const key = keyText(event.publicKey);
    const times = [...(this.#moves.get(key) ?? []), this.#parts.unixNow()].slice(-maxMoves);
    this.#moves.delete(key);
    this.#moves.set(key, times);
    const [oldest] = this.#moves.keys();
    if (this.#moves.size > maxDevices && oldest !== undefined) this.#moves.delete(oldest);
  }

  /** `publicKeys`: those of the device, the one that it should use first. */
  async of(publicKeys: readonly Uint8Array[]): Promise<Sight> {
    const { peers, drops } = await this.#status();
    const now = this.#parts.unixNow();
    const own = this.#ownAmong(peers, publicKeys);
    return {
      spent: own.some(({ isSpent }) => isSpent === true),
      ...(own.length === 0 ? {} : { tunnel: this.#sight(own, now) }),
      refused: Object.fromEntries(handshakeRefusals.map((reason) => [reason, drops[reason]])),
      othersHeard: peers.some((one) => !own.includes(one) && now - one.lastHandshakeMs < heardMs),
    };
  }

  /** Those of the keys, and of whoever has the first of them. */
  #ownAmong(peers: readonly PeerStatus[], publicKeys: readonly Uint8Array[]): readonly PeerStatus[] {
    const { ownerOf = () => undefined } = this.#parts;
    const keys = publicKeys.map(keyText);
    const [first] = publicKeys;
    const owner = first === undefined ? undefined : ownerOf(first);
    return peers.filter(({ publicKey }) => {
      const isHis = owner !== undefined && ownerOf(publicKey) === owner;
      return isHis || keys.includes(keyText(publicKey));
    });
  }

  /** Of all its keys together, and where the one is that was heard last. */
  #sight(own: readonly PeerStatus[], now: UnixMs): TunnelSight {
    const movesOf = ({ publicKey }: PeerStatus): readonly UnixMs[] =>
      this.#moves.get(keyText(publicKey)) ?? [];
    // A handshake that leads to nothing, as a doctor's does, moves a device all the same.
    const heardAt = (peer: PeerStatus): number => Math.max(peer.lastHandshakeMs, movesOf(peer).at(-1) ?? 0);
    const endpoint = own.toSorted((a, b) => heardAt(b) - heardAt(a))[0]?.endpoint;
    const lastHandshakeMs = Math.max(0, ...own.map((peer) => peer.lastHandshakeMs));
    const moves = own.flatMap(movesOf).filter((at) => now - at < movesMs);
    return {
      ...(endpoint === undefined ? {} : { endpoint: formatEndpoint(endpoint) }),
      ...(lastHandshakeMs === 0 ? {} : { lastHandshakeAt: new Date(lastHandshakeMs).toISOString() }),
      rxBytes: own.reduce((sum, { rxBytes }) => sum + rxBytes, 0),
      txBytes: own.reduce((sum, { txBytes }) => sum + txBytes, 0),
      moves: moves.length,
    };
  }

  #status(): ReturnType<SightingsParts['status']> {
    const now = this.#parts.unixNow();
    if (this.#last === undefined || now - this.#last.at > freshMs || now < this.#last.at) {
      this.#last = { at: now, status: this.#parts.status() };
    }
    return this.#last.status;
  }
}
