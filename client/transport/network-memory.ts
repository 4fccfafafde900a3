/**
 * What carried the tunnel in which network, so that the next connect there begins with it. On disk, without names or
 * addresses: a network is known by a hash. Bounded, and forgotten with time. What makes no sense is not known.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import { writeAtomic } from '../settings/atomic-file.ts';
import type { Transport } from './race.ts';

interface Entry {
  readonly network: string;
  readonly transport: Transport;
  readonly at: number;
}

const maxEntries = 64;
const keepMs: number = 30 * 24 * 60 * minuteMs;
const hashLength = 22;

export class NetworkMemory {
  readonly #path: string;
  readonly #unixNow: () => UnixMs;

  constructor(path: string, unixNow: () => UnixMs) {
    this.#path = path;
    this.#unixNow = unixNow;
  }

  /** `network`: an id that stays the same in the same network; `edge`: its name. */
  recall(network: string, edge: string): Transport | undefined {
    const key = keyOf(network, edge);
    return this.#entries().find((one) => one.network === key)?.transport;
  }

  remember(network: string, edge: string, transport: Transport): void {
    const key = keyOf(network, edge);
    const others = this.#entries().filter((one) => one.network !== key);
    const entry: Entry = { network: key, transport, at: this.#unixNow() };
    try {
      writeAtomic(this.#path, `${JSON.stringify([entry, ...others].slice(0, maxEntries))}\n`);
    } catch {
      // A full disk costs a second at the next connect, and nothing else.
    }
  }

  #entries(): readonly Entry[] {
    const now = this.#unixNow();
    try {
      const found: unknown = JSON.parse(readFileSync(this.#path, 'utf8'));
      if (!Array.isArray(found)) return [];
      return found.filter(isEntry).filter(({ at }) => at <= now && now - at <= keepMs);
    } catch {
      return []; // Nothing was remembered yet.
    }
  }
}

function keyOf(network: string, edge: string): string {
  return createHash('sha256').update(`${edge}\n${network}`).digest('base64url').slice(0, hashLength);
}

function isEntry(value: unknown): value is Entry {
  const { network, transport, at } = (value ?? {}) as Partial<Entry>;
  const isKnown = transport === 'udp' || transport === 'tls';
  return typeof network === 'string' && network.length === hashLength && isKnown && typeof at === 'number';
}

/** Of the id of a network, what is the network and not the way to one edge. */
export function networkAlone(id: string): string {
  const parts = id.split('; ').filter((part) => !part.startsWith('to '));
  return parts.length === 0 ? id : parts.join('; ');
}
