/**
 * Rebind protection: a name of the Internet that answers with an address of this machine or this network is an attack
 * on what listens here more often than it is an honest trick. Off unless asked for; names can be let through. Pure.
 */

import { type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { canonicalText } from '../../shared/core/dns/name.ts';
import type { DnsMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { NameSet } from './name-set.ts';

/** Where an answer for the Internet cannot be (RFC 6890, RFC 4193, RFC 4291, RFC 6598). */
const insidePrefixes: readonly Prefix[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::/127',
  '::ffff:0:0/96',
  'fc00::/7',
  'fe80::/10',
].flatMap((text) => parsePrefix(text) ?? []);

/** 0.0.0.0 and :: are how filters say no; nothing listens there under that name by accident. */
const unspecified: readonly Prefix[] = ['0.0.0.0/32', '::/128'].flatMap((text) => parsePrefix(text) ?? []);
/** Lead home on purpose, for certificates of machines at home. */
const honestNames: readonly string[] = ['plex.direct'];

export class RebindGuard {
  readonly #allowed = new NameSet<true>();

  constructor(allowed: readonly string[]) {
    for (const name of [...honestNames, ...allowed]) this.#allowed.add(canonicalText(name), true);
  }

  /** Whether an answer from outside for `name` (lower case, no last dot) must not be believed. */
  isAttack(name: string, answer: DnsMessage): boolean {
    if (this.#allowed.find(name) !== undefined) return false;
    return answer.answers().some((record) => {
      if (record.type !== recordType.a && record.type !== recordType.aaaa) return false;
      const address = answer.rdataOf(record);
      const isInside = insidePrefixes.some((prefix) => prefixContains(prefix, address));
      return isInside && !unspecified.some((prefix) => prefixContains(prefix, address));
    });
  }
}
