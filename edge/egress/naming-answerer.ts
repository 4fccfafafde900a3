/** An answerer of names that lets the way out know which address a device was told for which name. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { canonicalText, formatName } from '../../shared/core/dns/name.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import type { ToldName } from '../../shared/core/registration/names-api.ts';
import type { DnsAnswerer } from '../dns/answerer.ts';
import type { HostNames } from './host-name.ts';

/** Who learns names. */
export type NameSink = Pick<HostNames, 'note'>;

export function namingAnswerer(inner: DnsAnswerer, names: NameSink, now: () => MonoMs): DnsAnswerer {
  return {
    answer: async (query, about) => {
      const answer = await inner.answer(query, about);
      if (answer !== undefined && about.device !== undefined) learn(answer, about.device, names, now());
      return answer;
    },
    close: () => inner.close(),
  };
}

function learn(answer: Uint8Array, device: string, names: NameSink, now: MonoMs): void {
  const message = readMessage(answer);
  if (message === undefined || !message.isWellFormed) return;
  const addresses = message.addresses();
  if (addresses.length === 0) return;
  const name = canonicalText(formatName(message.questionName)).replace(/\.$/, '').toLowerCase();
  for (const { address, ttl } of addresses) names.note({ device, name, address, ttlSeconds: ttl }, now);
}

/** What a device's own resolver has answered it. Addresses that are none are passed over. */
export function tellNames(names: NameSink, device: string, told: readonly ToldName[], now: MonoMs): void {
  for (const { name, addresses, ttlSeconds } of told) {
    const canonical = name.toLowerCase().replace(/\.$/, '');
    for (const text of addresses) {
      const address = parseAddress(text);
      if (address !== undefined) names.note({ device, name: canonical, address, ttlSeconds }, now);
    }
  }
}
