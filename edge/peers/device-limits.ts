/**
 * How fast each device may be and how much it may move, as the tunnel must be told. Pure: from what the store and
 * edge.yaml want, and what the tunnel says that it has, to the change that makes them one.
 *
 * A quota is kept exactly by the tunnel itself: it is told at which number the peer's own counters end.
 */

import type { PeerChange, PeerLimits, PeerStatus } from '../../shared/core/tunnel/config.ts';
import { keyText } from './peer-changes.ts';
import type { DeviceRecord } from './store.ts';

/** Of edge.yaml, for devices that have none of their own; 0 = no limit. */
export interface UsualLimits {
  readonly deviceRate: number;
  readonly deviceQuotaBytes: number;
}

const bitsPerByte = 8;

/** Both directions together; 0 = no limit. */
export function quotaOf(device: Pick<DeviceRecord, 'quotaBytes'>, usual: UsualLimits): number {
  return device.quotaBytes > 0 ? device.quotaBytes : usual.deviceQuotaBytes;
}

/** Bytes a second; 0 = no limit. */
function rateOf(device: Pick<DeviceRecord, 'rateBps'>, usual: UsualLimits): number {
  return device.rateBps > 0 ? device.rateBps / bitsPerByte : usual.deviceRate;
}

export class DeviceLimits {
  readonly #usual: () => UsualLimits;
  /** By public key: what the tunnel was told. Peers without limits are not here. */
  readonly #told = new Map<string, Wanted>();

  constructor(usual: () => UsualLimits) {
    this.#usual = usual;
  }

  /** Peers that are new begin with their limits. `devices`: those of the store that have changed. */
  onPeers(peers: readonly PeerChange[], devices: readonly DeviceRecord[]): readonly PeerChange[] {
    if (this.#told.size === 0 && !this.#limitsAny(devices)) return peers;
    const owners = new Map(devices.map((device) => [keyText(device.publicKey), device]));
    return peers.map((peer) => {
      const key = keyText(peer.publicKey);
      if (peer.remove === true) {
        this.#told.delete(key);
        return peer;
      }
      const device = owners.get(key);
      // Whose counters have begun already is told by `changes`, which knows them.
      if (device === undefined || this.#told.has(key)) return peer;
      const wanted = this.#wanted(device);
      if (isNone(wanted)) return peer;
      const { rxBytes, txBytes } = device.usage;
      return { ...peer, limits: this.#tell(key, wanted, wanted.quota - rxBytes - txBytes) };
    });
  }

  #limitsAny(devices: readonly DeviceRecord[]): boolean {
    const { deviceRate, deviceQuotaBytes } = this.#usual();
    return deviceRate + deviceQuotaBytes > 0 || devices.some((one) => one.rateBps + one.quotaBytes > 0);
  }

  /** Whether somebody has a quota: then counters are worth a look every second. */
  hasQuota(devices: Iterable<DeviceRecord>): boolean {
    if (this.#usual().deviceQuotaBytes > 0) return true;
    for (const device of devices) if (device.quotaBytes > 0) return true;
    return false;
  }

  /** Whether the tunnel was told other limits than this device has now. */
  isStale(device: DeviceRecord): boolean {
    return !isSame(this.#told.get(keyText(device.publicKey)) ?? none, this.#wanted(device));
  }

  /** Whether this key's peer has moved all that the quota which is wanted now allows. */
  isSpent(peer: PeerStatus, device: DeviceRecord): boolean {
    const told = this.#told.get(keyText(peer.publicKey));
    return peer.isSpent === true && told?.quota === quotaOf(device, this.#usual());
  }

  /**
   * What the tunnel must be told so that it has what is wanted. `movedOf`: all that a device has ever moved, the
   * peer's counters as given included.
   */
  async changes(
    peers: readonly PeerStatus[],
    deviceOf: (publicKey: Uint8Array) => DeviceRecord | undefined,
    movedOf: (device: DeviceRecord) => Promise<number>,
  ): Promise<readonly PeerChange[]> {
    const changes: PeerChange[] = [];
    for (const peer of peers) {
      const { publicKey } = peer;
      const device = deviceOf(publicKey);
      const wanted = this.#wanted(device);
      if (peer.limits === undefined && isNone(wanted)) continue;
      const key = keyText(publicKey);
      if (isSame(this.#has(key, peer), wanted)) continue;
      const moved = wanted.quota === 0 || device === undefined ? 0 : await movedOf(device);
      const limits = this.#tell(key, wanted, peer.rxBytes + peer.txBytes + wanted.quota - moved);
      changes.push({ publicKey, updateOnly: true, allowedIps: [], limits });
    }
    return changes;
  }

  /** Peers of edge.yaml are no devices of the store: they have the usual rate, and nobody counts over runs. */
  #wanted(device: DeviceRecord | undefined): Wanted {
    const usual = this.#usual();
    if (device === undefined) return { rate: usual.deviceRate, quota: 0 };
    return { rate: rateOf(device, usual), quota: quotaOf(device, usual) };
  }

  /** By what the tunnel itself says, in which a peer may have been made anew. */
  #has(key: string, { limits }: PeerStatus): Wanted {
    if (limits === undefined) return none;
    const quota = limits.allowanceBytes === undefined ? 0 : (this.#told.get(key)?.quota ?? 0);
    return { rate: limits.rateBytes, quota };
  }

  /** `end`: where the peer's counters end, where there is a quota. */
  #tell(key: string, wanted: Wanted, end: number): PeerLimits {
    if (isNone(wanted)) this.#told.delete(key);
    else this.#told.set(key, wanted);
    const allowanceBytes = wanted.quota === 0 ? undefined : Math.max(0, end);
    return { rateBytes: wanted.rate, allowanceBytes };
  }
}

/** Bytes a second and bytes; 0 = no limit. */
interface Wanted {
  readonly rate: number;
  readonly quota: number;
}

const none: Wanted = { rate: 0, quota: 0 };

function isNone(wanted: Wanted): boolean {
  return isSame(wanted, none);
}

function isSame(a: Wanted, b: Wanted): boolean {
  return a.rate === b.rate && a.quota === b.quota;
}
