/**
 * The kernel announces nothing, so events are found by comparing one status with the next. Pure but
 * for what it remembers.
 */

import type { UnixMs } from '../../core/base/time.ts';
import type { DeviceStatus, PeerStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';

/** After so long without a new handshake no packet is accepted any more (REJECT_AFTER_TIME). */
const rejectAfterTimeMs = 180_000;

interface Remembered {
  readonly lastHandshakeMs: number;
  readonly rxBytes: number;
  readonly place: string;
  readonly isConfirmed: boolean;
  readonly isExpired: boolean;
}

/**
 * What happened between statuses. Deviations, because the kernel does not tell: the role is always
 * given as initiator, and 'gave-up' never comes.
 */
export class KernelEvents {
  #peers = new Map<string, Remembered>();
  #isFirst = true;

  /** Takes the next status; the first only says what is old. Bounded by the device's peers. */
  update(status: DeviceStatus, now: UnixMs): readonly TunnelEvent[] {
    const events: TunnelEvent[] = [];
    const next = new Map<string, Remembered>();
    for (const peer of status.peers) {
      const key = Buffer.from(peer.publicKey).toString('base64');
      next.set(key, this.#compare(peer, this.#peers.get(key), now, events));
    }
    this.#peers = next;
    if (!this.#isFirst) return events;
    this.#isFirst = false;
    return [];
  }

  #compare(peer: PeerStatus, before: Remembered | undefined, now: UnixMs, events: TunnelEvent[]): Remembered {
    const { publicKey, lastHandshakeMs, rxBytes, endpoint } = peer;
    const place = endpoint === undefined ? '' : `${endpoint.address} ${endpoint.port}`;
    const isNewSession = lastHandshakeMs > (before?.lastHandshakeMs ?? 0);
    const isExpired = lastHandshakeMs > 0 && now - lastHandshakeMs > rejectAfterTimeMs;
    const receives = before !== undefined && rxBytes > before.rxBytes;
    const wasConfirmed = before?.isConfirmed ?? true;
    const isConfirmed = !isNewSession && (wasConfirmed || receives);
    if (isNewSession && !isExpired) events.push({ kind: 'established', publicKey, role: 'initiator' });
    if (isConfirmed && !wasConfirmed) events.push({ kind: 'confirmed', publicKey });
    if (isExpired && !isNewSession && before?.isExpired === false)
      events.push({ kind: 'expired', publicKey });
    if (before !== undefined && before.place !== '' && place !== before.place)
      events.push({ kind: 'roamed', publicKey });
    return { lastHandshakeMs, rxBytes, place, isConfirmed, isExpired };
  }
}
