/**
 * Where devices may go (product.md §6), for an edge whose packets end in its own stack: asked with the very
 * address that is then dialled, so that no name can change its meaning in between. Pure.
 *
 * A closed place is opened by `allow` where the opening lies inside that place: 10.0.0.0/8 opens private
 * addresses, not the edge's own or a cloud's secrets among them; those must be named themselves.
 */

import { type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { Opening } from '../config-egress.ts';
import {
  type ClosedRanges,
  metadataRanges,
  privateRanges,
  reservedRanges,
  translatedRanges,
} from '../host/closed-ranges.ts';
import { isInside } from '../network.ts';

/** Why a destination is closed, as one word; 'open' where it is not. */
export type Verdict = 'open' | 'private' | 'reserved' | 'metadata' | 'own' | 'device' | 'mail';

export interface DenyPlan {
  /** Whether private ranges are closed; the others always are. */
  readonly closePrivate: boolean;
  /** Of the tunnel: other devices. Nothing opens them here. */
  readonly network: readonly Prefix[];
  readonly allow: readonly Opening[];
}

export interface Target {
  /** 'icmp': an echo request; its port is 0. */
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

interface Place {
  readonly prefix: Prefix;
  readonly why: Verdict;
}

/** Mail between servers: an edge that carries it is soon on every list of spammers. */
const mailPort = 25;

export class DenyPolicy {
  readonly #plan: DenyPlan;
  readonly #isOwn: (address: Uint8Array) => boolean;
  readonly #places: readonly Place[];

  /** `isOwn`: whether an address is one of the machine that the edge runs on, now. */
  constructor(plan: DenyPlan, isOwn: (address: Uint8Array) => boolean) {
    this.#plan = plan;
    this.#isOwn = isOwn;
    this.#places = [
      ...placesOf(metadataRanges, 'metadata'),
      ...placesOf(reservedRanges, 'reserved'),
      ...(plan.closePrivate ? placesOf(privateRanges, 'private') : []),
    ];
  }

  /** `device`: the name of whoever asks; undefined where nobody knows, who then has openings for all only. */
  judge(target: Target, device: string | undefined): Verdict {
    const { address, protocol, port } = target;
    const openings = this.#plan.allow.filter(
      (one) => (one.device === undefined || one.device === device) && prefixContains(one.cidr, address),
    );
    const verdict = this.#judgeAddress(address, openings);
    if (verdict !== 'open') return verdict;
    return protocol === 'tcp' && port === mailPort && openings.length === 0 ? 'mail' : 'open';
  }

  /** `openings`: those that contain the address. */
  #judgeAddress(address: Uint8Array, openings: readonly Opening[]): Verdict {
    if (this.#plan.network.some((one) => prefixContains(one, address))) return 'device';
    const closed = this.#places.find((place) => isClosed(place.prefix, address, openings));
    if (closed !== undefined) return closed.why;
    const exact = openings.some((one) => one.cidr.bits === address.length * 8);
    if (!exact && this.#isOwn(address)) return 'own';
    for (const { prefix, at } of translators) {
      if (!isClosed(prefix, address, openings)) continue;
      // What a translator would make of it. Openings are for what the device asks, not for what this hides.
      return this.#judgeAddress(address.slice(at, at + 4), []);
    }
    return 'open';
  }
}

const translators = translatedRanges.flatMap(({ range, at }) => {
  const prefix = parsePrefix(range);
  return prefix === undefined ? [] : [{ prefix, at }];
});

function isClosed(place: Prefix, address: Uint8Array, openings: readonly Opening[]): boolean {
  return prefixContains(place, address) && !openings.some((one) => isInside(one.cidr, place));
}

function placesOf(ranges: ClosedRanges, why: Verdict): readonly Place[] {
  return [...ranges.v4, ...ranges.v6].flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix === undefined ? [] : [{ prefix, why }];
  });
}
