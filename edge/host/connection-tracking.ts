/**
 * Makes the kernel forget the connections of devices that were cut, where the tool for it is installed. Nothing
 * passes for them without it either: the tunnel knows them no more. With it their sockets here end at once.
 */

import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { Run } from '../../shared/node/run.ts';
import { type ReadText, readKernelText, trackedConnections } from './tracked-connections.ts';

export interface ConnectionTrackingParts {
  readonly run: Run;
  readonly log: Log;
  /** What the kernel tells in a file; rejects where there is none, or we may not read it. Default: of this host. */
  readonly read?: ReadText;
}

/** Beyond these one would rather wait for the entries to end by themselves. */
const maxAddresses = 256;
/** Programs at a time. */
const atOnce = 8;
/** With more connections than these the list is not read. */
const maxListed = 8192;

export class ConnectionTracking {
  readonly #parts: ConnectionTrackingParts;
  readonly #read: ReadText;
  readonly #waiting = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(parts: ConnectionTrackingParts) {
    this.#parts = parts;
    this.#read = parts.read ?? readKernelText;
  }

  /**
   * Those that the addresses began, and those that others began with them. Addresses that come while others are being
   * forgotten share the next look. Resolves when all are forgotten; never rejects.
   */
  forget(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) if (this.#waiting.size < maxAddresses) this.#waiting.add(address);
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #work(): Promise<void> {
    while (this.#waiting.size > 0) {
      const addresses = [...this.#waiting];
      this.#waiting.clear();
      await this.#forgetAll(addresses);
    }
  }

  async #forgetAll(addresses: readonly string[]): Promise<void> {
    // A program for each address takes its time, and most devices that are cut have nothing open.
    const tracked = await this.#tracked();
    const known = addresses.filter((address) => tracked === undefined || tracked.has(plain(address)));
    const asked = known.flatMap((address) => [
      ['-s', address],
      ['-d', address],
    ]);
    try {
      for (let i = 0; i < asked.length; i += atOnce) {
        await Promise.all(asked.slice(i, i + atOnce).map((words) => this.#forgetOne(words)));
      }
    } catch {
      this.#parts.log.debug('connections are not forgotten: conntrack is not installed');
    }
  }

  /** Where there is none it ends with an error, which is fine. */
  async #forgetOne([flag = '', address = '']: readonly string[]): Promise<void> {
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    await this.#parts.run('conntrack', ['-D', '-f', family, flag, address], { allowFailure: true });
  }

  /** Every address that has a connection; undefined where there are too many, or the kernel does not tell us. */
  async #tracked(): Promise<ReadonlySet<string> | undefined> {
    try {
      const list = await trackedConnections(maxListed, this.#read);
      return list === undefined ? undefined : addressesIn(list);
    } catch {
      return undefined;
    }
  }
}

/** Of /proc/net/nf_conntrack, which writes IPv6 in full. */
function addressesIn(list: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [, text = ''] of list.matchAll(/ (?:src|dst)=([0-9a-f.:]+)/g)) found.add(text);
  return new Set([...found].map(plain));
}

/** One spelling for each address. */
function plain(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}
