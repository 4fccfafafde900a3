/**
 * Where edges with a name were really found: addresses that answered with the edge's own key. A network that lies about
 * names, or knows none, then still leads home. What somebody claimed and nobody proved is never kept.
 */

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { writeAtomic } from './atomic-file.ts';

/** Of one name, the last one first. */
const maxAddresses = 4;
const maxHosts = 64;

export class KnownAddresses {
  readonly #path: string;
  #entries: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  of(host: string): readonly string[] {
    return this.#all().get(host.toLowerCase()) ?? [];
  }

  /** The edge that this name stands for has proven to be at that address. Numeric hosts need no memory. */
  note(host: string, address: string): void {
    if (isIP(host) !== 0 || isIP(address) === 0 || isLoopback(address)) return;
    const known = this.of(host);
    if (known[0] === address) return;
    const name = host.toLowerCase();
    const addresses = [address, ...known.filter((one) => one !== address)].slice(0, maxAddresses);
    const others = [...this.#all()].filter(([other]) => other !== name);
    this.#entries = new Map([[name, addresses] as const, ...others].slice(0, maxHosts));
    try {
      writeAtomic(this.#path, `${JSON.stringify(Object.fromEntries(this.#entries))}\n`);
    } catch {
      // A full disk: it is known until this process ends.
    }
  }

  #all(): ReadonlyMap<string, readonly string[]> {
    this.#entries ??= read(this.#path);
    return this.#entries;
  }
}

function read(path: string): ReadonlyMap<string, readonly string[]> {
  try {
    const found = Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>);
    return new Map(found.slice(0, maxHosts).map(([host, value]) => [host, addressesIn(value)]));
  } catch {
    return new Map(); // Nothing was kept yet.
  }
}

function addressesIn(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  const texts = value.filter((one): one is string => typeof one === 'string' && isIP(one) !== 0);
  return texts.slice(0, maxAddresses);
}

/** A relay of ours, or an edge on this machine: true here and nowhere else. */
function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
