/**
 * What the daemon itself may ask beside the tunnel while somebody runs `netcheck` or `doctor`: also where the state lets
 * nothing out, since that is where a diagnosis is wanted. Only for our mark, and only until the answer is there.
 */

import { isIPv6 } from 'node:net';
import type { FirewallPolicy } from './policy.ts';

export interface Examination {
  /** Asked on UDP port 53, numeric. */
  readonly servers: readonly string[];
  readonly tcpPorts: readonly number[];
  readonly udpPorts: readonly number[];
}

/** Of each kind; those beyond it are not asked. */
const maxPlaces = 16;

export class ExamineOpening {
  readonly #refresh: () => Promise<void>;
  #current: Examination | undefined;

  /** `refresh`: has the firewall written again. */
  constructor(refresh: () => Promise<void>) {
    this.#refresh = refresh;
  }

  /** The firewall reads it whenever it is written. */
  get current(): Examination | undefined {
    return this.#current;
  }

  /** Open while `work` goes on. One at a time. Where the firewall cannot be written, the work goes on behind it. */
  async during<T>(examination: Examination, work: () => Promise<T>): Promise<T> {
    this.#current = examination;
    await this.#refresh().catch(() => undefined);
    try {
      return await work();
    } finally {
      this.#current = undefined;
      await this.#refresh();
    }
  }
}

/** Lines of the chain `output`. */
export function examinationRules({ examines, mark }: FirewallPolicy): readonly string[] {
  if (examines === undefined) return [];
  const own = `  meta mark 0x${mark.toString(16)}`;
  return [
    ...wordsOfExamination(examines).map((one) => `${own} ${daddr(one)} udp dport 53 accept`),
    ...portRule(own, 'tcp', examines.tcpPorts),
    ...portRule(own, 'udp', examines.udpPorts),
  ];
}

/** Everything in those lines that somebody else chose. */
export function wordsOfExamination(examination: Examination | undefined): readonly string[] {
  return examination?.servers.slice(0, maxPlaces) ?? [];
}

function portRule(own: string, protocol: 'tcp' | 'udp', ports: readonly number[]): readonly string[] {
  const valid = [...new Set(ports)].filter((port) => Number.isInteger(port) && port > 0 && port <= 0xffff);
  if (valid.length === 0) return [];
  return [`${own} ${protocol} dport { ${valid.slice(0, maxPlaces).join(', ')} } accept`];
}

function daddr(address: string): string {
  const bare = address.split('%')[0] ?? '';
  return `${isIPv6(bare) ? 'ip6' : 'ip'} daddr ${bare}`;
}
