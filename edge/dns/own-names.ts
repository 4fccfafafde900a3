/**
 * Names below `.culvert`, which are ours and never leave: `edge.culvert` is the gateway, `laptop.culvert` the
 * device of that name, everything else does not exist. Also the way back, from addresses to those names.
 */

import { compareAddresses } from '../../shared/core/base/ip.ts';
import { canonicalText, encodeName, isBelow, nameOf } from '../../shared/core/dns/name.ts';
import type { DnsMessage } from '../../shared/core/dns/reader.ts';
import { noSuchName, nothingOfThisType } from '../../shared/core/dns/special-names.ts';
import { rcode, recordType } from '../../shared/core/dns/types.ts';
import { writeAddressAnswer, writeAnswer } from '../../shared/core/dns/writer.ts';

export interface OwnNamesOptions {
  /** Addresses of the gateway, 4 or 16 bytes. */
  readonly gateway: readonly Uint8Array[];
  /** Addresses of the device of that label (lower case); undefined where there is none. */
  readonly addressesOf: (label: string) => readonly Uint8Array[] | undefined;
  /** The label of the device that has this address. */
  readonly labelOf?: (address: Uint8Array) => string | undefined;
}

const zone = nameOf('culvert');
const gatewayLabel = 'edge';
/** Devices come and go. */
const ttlSeconds = 60;
const missingSeconds = 10;

export class OwnNames {
  readonly #options: OwnNamesOptions;

  constructor(options: OwnNamesOptions) {
    this.#options = options;
  }

  /** Undefined for names that are not ours. */
  answer(query: DnsMessage): Uint8Array | undefined {
    const name = query.questionName;
    if (!isBelow(name, zone)) return this.#answerReverse(query);
    const label = canonicalText(query.question?.name ?? '').replace(/\.?culvert$/, '');
    if (label === '') return writeAnswer(query, nothingOfThisType(zone, ttlSeconds));
    const addresses = label === gatewayLabel ? this.#options.gateway : this.#options.addressesOf(label);
    if (addresses === undefined) return writeAnswer(query, noSuchName(zone, missingSeconds));
    const size = query.question?.type === recordType.a ? 4 : 16;
    const isAddress = size === 4 || query.question?.type === recordType.aaaa;
    const hasAny = isAddress && addresses.some((address) => address.length === size);
    if (!hasAny) return writeAnswer(query, nothingOfThisType(zone, ttlSeconds));
    return writeAddressAnswer(query, addresses, ttlSeconds);
  }

  #answerReverse(query: DnsMessage): Uint8Array | undefined {
    if (query.question?.type !== recordType.ptr) return undefined;
    const address = parseReverse(query.question.name);
    if (address === undefined) return undefined;
    const isGateway = this.#options.gateway.some((own) => compareAddresses(own, address) === 0);
    const label = isGateway ? gatewayLabel : this.#options.labelOf?.(address);
    const rdata = label === undefined ? undefined : encodeName(`${label}.culvert`);
    if (rdata === undefined) return undefined;
    const answers = [{ type: recordType.ptr, ttl: ttlSeconds, rdata }];
    return writeAnswer(query, { rcode: rcode.noError, authoritative: true, answers });
  }
}

/** '1.0.83.10.in-addr.arpa' → 10.83.0.1; 32 nibbles below ip6.arpa likewise. */
export function parseReverse(name: string): Uint8Array | undefined {
  const text = canonicalText(name);
  const four = /^((?:[0-9]{1,3}\.){4})in-addr\.arpa$/.exec(text)?.[1];
  if (four !== undefined) {
    const parts = four.split('.').slice(0, 4).map(Number).toReversed();
    return parts.every((part) => part < 256) ? Uint8Array.from(parts) : undefined;
  }
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(text)?.[1];
  if (six === undefined) return undefined;
  const nibbles = six.split('.').slice(0, 32).toReversed();
  const address = new Uint8Array(16);
  for (let i = 0; i < 16; i++) address[i] = Number.parseInt(`${nibbles[2 * i]}${nibbles[2 * i + 1]}`, 16);
  return address;
}
