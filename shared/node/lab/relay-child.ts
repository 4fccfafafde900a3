/** A relay between two hosts of a lab, as a process beside us: started, told to change, asked, ended. */

import { fileURLToPath } from 'node:url';
import { CulvertError } from '../../core/control/codes.ts';
import { Child } from './child.ts';
import type { RelayAnswer, RelayOrder, RelaySettings } from './relay-settings.ts';

const program = fileURLToPath(new URL('relay-program.ts', import.meta.url));
const readyMs = 10_000;
const answerMs = 5000;

/** Where the two ends of a relay are that `settingsBetween` makes: addresses for documentation, apart from the lab's. */
export const relayAddresses = {
  first: '203.0.113.1',
  firstV6: '2001:db8:c::1',
  second: '203.0.113.2',
  secondV6: '2001:db8:c::2',
} as const;

/** The two ends, as interface `relay` in both namespaces. */
export function endsBetween(first: string, second: string): Pick<RelaySettings, 'first' | 'second'> {
  const end = (namespace: string, v4: string, v6: string): RelaySettings['first'] => ({
    namespace,
    interface: 'relay',
    addresses: [`${v4}/24`, `${v6}/64`],
  });
  return {
    first: end(first, relayAddresses.first, relayAddresses.firstV6),
    second: end(second, relayAddresses.second, relayAddresses.secondV6),
  };
}

export class RelayChild {
  readonly #child: Child;
  #orders = 0;

  /** Throws CulvertError. End it before the namespaces go. */
  static async start(settings: RelaySettings): Promise<RelayChild> {
    const words = [process.execPath, program, JSON.stringify(settings)];
    const child = await Child.start('the relay', words, { input: true });
    try {
      await child.waitFor(/^ready$/m, readyMs);
    } catch (cause) {
      await child.end();
      throw cause;
    }
    return new RelayChild(child);
  }

  private constructor(child: Child) {
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Changes what is named, for packets that come from now on. Returns what was counted so far. */
  async change(order: RelayOrder): Promise<RelayAnswer> {
    const id = ++this.#orders;
    this.#child.write(`${JSON.stringify({ ...order, id })}\n`);
    const [line] = await this.#child.waitFor(new RegExp(`^\\{"id":${id},.*\\}$`, 'm'), answerMs);
    return JSON.parse(line) as RelayAnswer;
  }

  counts(): Promise<RelayAnswer> {
    return this.change({});
  }

  /** Idempotent. Returns what was counted in all. */
  async end(): Promise<RelayAnswer> {
    await this.#child.end();
    const line = this.#child.stdout.trimEnd().split('\n').at(-1) ?? '';
    if (line.startsWith('{')) return JSON.parse(line) as RelayAnswer;
    throw new CulvertError('command-failed', {
      text: `The relay said nothing: ${this.#child.stderr.trim()}`,
    });
  }
}
