/**
 * News of the network where the routing socket cannot be had (macOS, Windows, no native calls): the list of addresses,
 * compared every two seconds. It knows no routes, so every interface with an address counts as a way out.
 */

import { isIPv6 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import type { AddressMessage, LinkMessage } from './rtnetlink.ts';
import { maxAddresses, maxLinks, type NetworkSnapshot, type Way } from './snapshot.ts';
import type { NetworkNews, NetworkSource } from './source.ts';

export const pollEveryMs = 2000;

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

export class PolledSource implements NetworkSource {
  readonly kind = 'polled' as const;
  readonly #ask: () => Interfaces;
  #timer: NodeJS.Timeout | undefined;
  #seen = '';

  constructor(ask: () => Interfaces = networkInterfaces) {
    this.#ask = ask;
  }

  watch(onChange: () => void): void {
    clearInterval(this.#timer);
    this.#seen = textOf(this.#ask());
    this.#timer = setInterval(() => {
      if (textOf(this.#ask()) !== this.#seen) onChange();
    }, pollEveryMs);
    this.#timer.unref();
  }

  takeNews(): NetworkNews {
    this.#seen = textOf(this.#ask());
    return { messages: [], missed: false };
  }

  read(): NetworkSnapshot {
    return snapshotOf(this.#ask());
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Node's list as a snapshot. Pure. */
export function snapshotOf(interfaces: Interfaces): NetworkSnapshot {
  const links: LinkMessage[] = [];
  const addresses: AddressMessage[] = [];
  const ways: Way[] = [];
  for (const [name, list] of Object.entries(interfaces).slice(0, maxLinks)) {
    const index = links.length + 1;
    const loopback = list?.some((one) => one.internal) ?? false;
    links.push({ kind: 'link', gone: false, index, name, up: true, running: true, loopback });
    for (const one of list ?? []) {
      if (addresses.length >= maxAddresses) break;
      const global = !one.internal && !/^(fe80:|169\.254\.)/i.test(one.address);
      const bits = Number(one.cidr?.split('/')[1] ?? (isIPv6(one.address) ? 128 : 32));
      addresses.push({
        kind: 'address',
        gone: false,
        index,
        address: one.address,
        bits,
        global,
        usable: true,
      });
      if (global) ways.push({ target: name, index, source: one.address });
    }
  }
  return { links, addresses, routes: [], ways, truncated: false };
}

function textOf(interfaces: Interfaces): string {
  return Object.entries(interfaces)
    .map(([name, list]) => `${name} ${(list ?? []).map((one) => one.cidr ?? one.address).join(' ')}`)
    .join('\n');
}
