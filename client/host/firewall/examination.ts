/**
 * What the daemon itself may ask beside the tunnel while somebody runs `netcheck` or `doctor`: also where the state lets
 * nothing out, since that is where a diagnosis is wanted. Only for our mark, and only until the answer is there.
 */

import type { FirewallPolicy } from './policy.ts';
import { daddr, hex, isPort } from './words.ts';

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

  /**
   * Open while `work` goes on. One at a time. Where the firewall cannot be opened, the work goes on behind it; rejects where
   * it cannot be closed again.
   */
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
  const own = `  meta mark ${hex(mark)}`;
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
  const valid = [...new Set(ports)].filter(isPort);
  if (valid.length === 0) return [];
  return [`${own} ${protocol} dport { ${valid.slice(0, maxPlaces).join(', ')} } accept`];
}
