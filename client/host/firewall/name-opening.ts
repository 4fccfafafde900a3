/**
 * Which servers of the network the daemon itself may ask on port 53 beside the tunnel, for the names of the user's rules
 * (`dns fallback … --via network`). The firewall reads it whenever it is written, and opens it in `connected` alone, for
 * our mark alone. Decides nothing else.
 */

import { isDeepStrictEqual } from 'node:util';

export class NameOpening {
  readonly #refresh: () => Promise<void>;
  #servers: readonly string[] = [];
  #applied: Promise<void> = Promise.resolve();

  /** `refresh`: has the firewall written again. */
  constructor(refresh: () => Promise<void>) {
    this.#refresh = refresh;
  }

  /** Numeric addresses. */
  get servers(): readonly string[] {
    return this.#servers;
  }

  /** These and no others; resolves when it is so. Rejects where the firewall cannot be written: then none are wanted. */
  set(servers: readonly string[]): Promise<void> {
    if (isDeepStrictEqual(servers, this.#servers)) return this.#applied;
    this.#servers = servers;
    const applied = this.#refresh().catch((error: unknown) => {
      if (this.#applied === applied) {
        this.#servers = [];
        this.#applied = Promise.resolve();
      }
      throw error;
    });
    this.#applied = applied;
    return applied;
  }
}
