/**
 * Servers that are asked in the clear: of the network, behind the tunnel, or, with a mark of its own, around it. One
 * after the other, without a cache. Whom to ask, and whether, its callers decide.
 */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { dressAnswer, forwardQuery, stripAnswer } from '../../shared/core/dns/edns.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import { safeUdpSize } from '../../shared/core/dns/types.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { systemDial } from '../../shared/node/resolver/tls-dial.ts';
import { dotTimes, type Upstream } from '../../shared/node/resolver/upstream.ts';
import { createPlainUpstream } from '../../shared/node/resolver/upstream-plain.ts';
import type { Found } from './pipeline.ts';

export interface PlainServersParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly entropy: Entropy;
  /** Firewall mark of the questions, where it can be set; absent: none. */
  readonly plainMark?: number | undefined;
}

export interface PlainAsk {
  /** Numeric addresses. */
  readonly servers: readonly string[];
  readonly origin: 'network' | 'own';
  /** The mark of what goes around the tunnel: without it nothing is asked. */
  readonly aroundMark?: number;
}

const plainPort = 53;
/** Upstreams that stay open; a network has two or three. */
const maxOpen = 32;

export class PlainServers {
  readonly #parts: PlainServersParts;
  readonly #open = new Map<string, Upstream>();

  constructor(parts: PlainServersParts) {
    this.#parts = parts;
  }

  /** One server after the other. Undefined where there is nobody to ask; rejects where nobody answers. */
  async ask(query: DnsMessage, { servers, origin, aroundMark }: PlainAsk): Promise<Found | undefined> {
    let problem: Error | undefined;
    const sent = withoutHop(query);
    for (const server of servers) {
      try {
        const answer = readMessage(await this.upstream(server, aroundMark).query(sent));
        const stored = answer === undefined ? undefined : stripAnswer(answer);
        if (stored !== undefined) return { bytes: dressAnswer(query, stored, { ageSeconds: 0 }), origin };
      } catch (error) {
        problem = error instanceof Error ? error : new Error(String(error));
      }
    }
    if (problem !== undefined) throw problem;
    return undefined;
  }

  upstream(server: string, aroundMark?: number): Upstream {
    const key = aroundMark === undefined ? server : `around ${server}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    if (this.#open.size >= maxOpen) this.close();
    const { clock, log, entropy, plainMark } = this.#parts;
    const marked = aroundMark === undefined ? { plainMark } : { plainMark: aroundMark, needsMark: true };
    const target = { name: `udp://${server}`, address: server, port: plainPort, identity: '', path: '' };
    const upstream = createPlainUpstream(
      target,
      { clock, log, trusted: [], dial: systemDial, times: dotTimes, ...marked },
      entropy,
    );
    this.#open.set(key, upstream);
    return upstream;
  }

  /** What is under way fails. Asking afterwards opens anew. */
  close(): void {
    for (const upstream of this.#open.values()) upstream.close();
    this.#open.clear();
  }
}

/** The asker's client subnet, cookie and padding stop here; who sent no EDNS asks without it, for old routers. */
function withoutHop(query: DnsMessage): Uint8Array {
  if (query.opt() === undefined) return query.bytes;
  return forwardQuery(query, { id: query.id, udpSize: safeUdpSize, padTo: 0 });
}
