/**
 * Finds the largest packet that gets through the tunnel, by probes inside it (after RFC 8899, "packetization layer path
 * MTU discovery for datagram transports": §5.2 its states, §4.3 black holes). Pure, told the time. Sizes are bytes of
 * the inner IP packet. Never below 1280, which IPv6 needs; a path that does not even carry that is said, and served.
 */

import { assert } from '../../shared/core/base/assert.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';

export const floorMtu = 1280;
/** RFC 8899 §5.1.2: a size that is lost so often does not pass. */
export const maxProbes = 3;
export const probeTimeoutMs: number = secondMs;
/** While it is not known that the present size still passes, one lost probe counts more. */
export const confirmTimeoutMs = 500;
/** RFC 8899 §5.1.1 PMTU_RAISE_TIMER: the path may have become wider. */
export const raiseAfterMs: number = 600 * secondMs;
/** The search ends where the answer is known this exactly. WireGuard pads to 16, IPv4 counts fragments in 8. */
export const searchStepBytes = 8;
/** Below the floor: so long until it is tried again. */
export const brokenRetryMs: number = 60 * secondMs;
/** Suspicions close together are one. */
const suspicionPauseMs: number = 5 * secondMs;

export type MtuPhase =
  /** Does the floor pass at all? */
  | 'base'
  | 'searching'
  | 'complete'
  /** Does the size in use still pass? */
  | 'confirming'
  /** Not even the floor passes. */
  | 'broken';

export interface MtuProbe {
  /** Comes back in `handleAnswer`; never 0. */
  readonly id: number;
  readonly size: number;
}

export interface PathMtuOptions {
  /** What the outer network's own interface would carry, at most. */
  readonly most: number;
  /** A size that worked on this network before: tried first. */
  readonly hint?: number;
}

export class PathMtu {
  #most: number;
  #hint: number | undefined;
  #phase: MtuPhase = 'base';
  #mtu: number = floorMtu;
  /** Smallest size that is known not to pass. */
  #tooBig: number;
  #probe: (MtuProbe & { readonly lost: number }) | undefined;
  #toSend: MtuProbe | undefined;
  #timerAt: MonoMs | undefined;
  #nextId = 1;
  #suspectedAt: MonoMs | undefined;

  constructor(options: PathMtuOptions, now: MonoMs) {
    this.#most = Math.max(floorMtu, options.most);
    this.#hint = options.hint;
    this.#tooBig = this.#most + 1;
    this.#send(floorMtu, 0, now);
  }

  /** What to use now: proven, or the floor. */
  get mtu(): number {
    return this.#mtu;
  }

  get phase(): MtuPhase {
    return this.#phase;
  }

  /** The probe to send now, once; its size must reach the wire as it is. */
  takeProbe(): MtuProbe | undefined {
    const probe = this.#toSend;
    this.#toSend = undefined;
    return probe;
  }

  nextTimeout(): { readonly at: MonoMs; readonly reason: 'probe-lost' | 'raise' | 'retry' } | undefined {
    if (this.#timerAt === undefined) return undefined;
    const reason = this.#probe !== undefined ? 'probe-lost' : this.#phase === 'broken' ? 'retry' : 'raise';
    return { at: this.#timerAt, reason };
  }

  /** A probe came back whole. Late answers count only where the size still says something. */
  handleAnswer(id: number, now: MonoMs): void {
    const probe = this.#probe;
    if (probe === undefined || probe.id !== id) return;
    this.#probe = undefined;
    this.#toSend = undefined;
    this.#mtu = probe.size;
    this.#search(now);
  }

  /** Safe to call early. */
  handleTimeout(now: MonoMs): void {
    if (this.#timerAt === undefined || now < this.#timerAt) return;
    this.#timerAt = undefined;
    const probe = this.#probe;
    if (probe !== undefined) this.#lose(probe.size, probe.lost + 1, now);
    else if (this.#phase === 'broken') this.#restart(now);
    else this.#raise(now);
  }

  /** Small packets pass and data does not get on: is it the size? Cheap where it is not. */
  handleSuspicion(now: MonoMs): void {
    if (this.#mtu <= floorMtu || this.#phase === 'confirming') return;
    if (this.#suspectedAt !== undefined && now - this.#suspectedAt < suspicionPauseMs) return;
    this.#suspectedAt = now;
    this.#confirm(now);
  }

  /** Another network: what was known holds no longer, and larger sizes may pass. `most`, `hint`: of the new one. */
  handleNetworkChange(options: PathMtuOptions, now: MonoMs): void {
    this.#most = Math.max(floorMtu, options.most);
    this.#hint = options.hint;
    this.#tooBig = this.#most + 1;
    this.#suspectedAt = undefined;
    if (this.#mtu > this.#most) this.#restart(now);
    else if (this.#mtu > floorMtu) this.#confirm(now);
    else this.#restart(now);
  }

  /** A router said what it carries (the inner size that follows from it). Anybody can lie, so it only ever lowers. */
  handleTooBig(size: number, now: MonoMs): void {
    if (size < floorMtu || size >= this.#tooBig - 1) return;
    this.#tooBig = size + 1;
    if (this.#mtu > size) {
      this.#mtu = floorMtu;
      this.#hint = size;
      this.#search(now);
    } else if (this.#probe !== undefined && this.#probe.size > size) {
      this.#hint = size;
      this.#search(now);
    }
  }

  #confirm(now: MonoMs): void {
    this.#phase = 'confirming';
    this.#send(this.#mtu, 0, now);
  }

  #restart(now: MonoMs): void {
    this.#phase = 'base';
    this.#mtu = floorMtu;
    this.#send(floorMtu, 0, now);
  }

  #raise(now: MonoMs): void {
    this.#tooBig = this.#most + 1;
    this.#search(now);
  }

  #lose(size: number, lost: number, now: MonoMs): void {
    this.#probe = undefined;
    if (lost < maxProbes) {
      this.#send(size, lost, now);
      return;
    }
    if (size <= floorMtu) {
      this.#phase = 'broken';
      this.#mtu = floorMtu;
      this.#timerAt = after(now, brokenRetryMs);
      return;
    }
    this.#tooBig = Math.min(this.#tooBig, size);
    // A black hole: the size in use vanishes. Down at once, up again by search.
    if (this.#phase === 'confirming') this.#restart(now);
    else this.#search(now);
  }

  /** The largest first, as most paths carry it; then halves. */
  #search(now: MonoMs): void {
    const largest = this.#tooBig - 1;
    const hint = this.#hint;
    this.#hint = undefined;
    if (largest - this.#mtu < searchStepBytes && largest !== this.#most) return this.#finish(now);
    if (largest <= this.#mtu) return this.#finish(now);
    this.#phase = 'searching';
    if (hint !== undefined && hint > this.#mtu && hint <= largest) return this.#send(hint, 0, now);
    if (largest === this.#most) return this.#send(largest, 0, now);
    const middle = this.#mtu + ((largest - this.#mtu) >> 1);
    this.#send(Math.max(middle, this.#mtu + 1), 0, now);
  }

  #finish(now: MonoMs): void {
    this.#phase = 'complete';
    this.#probe = undefined;
    this.#toSend = undefined;
    this.#timerAt = this.#mtu < this.#most ? after(now, raiseAfterMs) : undefined;
  }

  #send(size: number, lost: number, now: MonoMs): void {
    assert(
      size >= floorMtu && size <= this.#most,
      'probes are between the floor and what the interface carries',
    );
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0xffff) + 1;
    this.#probe = { id, size, lost };
    this.#toSend = { id, size };
    this.#timerAt = after(now, this.#phase === 'confirming' ? confirmTimeoutMs : probeTimeoutMs);
  }
}

/** Bytes that WireGuard adds: its header and tag, UDP, and the outer IP header. */
export function overheadBytes(outer: 4 | 6): number {
  return 32 + 8 + (outer === 4 ? 20 : 40);
}

/** The largest inner packet for an outer interface: the seal is padded to 16, but never beyond the MTU. */
export function largestInner(outerMtu: number, outer: 4 | 6): number {
  return Math.max(floorMtu, outerMtu - overheadBytes(outer));
}

/** TCP's largest segment inside packets of `mtu` bytes, for the clamp. */
export function segmentSize(mtu: number, family: 4 | 6): number {
  return mtu - (family === 4 ? 40 : 60);
}
