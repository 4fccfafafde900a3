/**
 * What `egress.allow` opens, as rules of the guard (guard-rules.ts), to the letter of ../egress/deny.ts: an opening
 * opens the closed place that it lies in and nothing else. One wider than all closed places opens none of them, one
 * around a cloud's secrets does not open those, and none but one inside the tunnel opens devices. Pure.
 */

import { type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { isInside } from '../network.ts';
import { type ClosedRanges, closedRanges, metadataRanges } from './closed-ranges.ts';
import type { GuardOpening, GuardPlan } from './guard-rules.ts';

export interface OpeningRules {
  /** Parts of closed places. */
  readonly places: readonly string[];
  /** From device to device, and what that one answers: with its opening both end. */
  readonly devices: readonly string[];
  /** This host's own addresses, named themselves. */
  readonly own: readonly string[];
  /** Where mail may go. */
  readonly mail: readonly string[];
}

export function openingRules(plan: GuardPlan): OpeningRules {
  const rules = { places: [], devices: [], own: [], mail: [] } satisfies Record<string, string[]> as {
    [kind in keyof OpeningRules]: string[];
  };
  const closed = prefixesOf(closedRanges(plan.closePrivate));
  const network = [plan.v4, plan.v6].flatMap((one) => parsePrefix(one?.prefix ?? '') ?? []);
  for (const opening of plan.allow) {
    const cidr = parsePrefix(opening.cidr);
    if (cidr === undefined) continue;
    if (network.some((one) => isInside(cidr, one))) {
      if (opening.mark === undefined) rules.devices.push(...rulesOf(opening), ...answersTo(opening));
      continue;
    }
    rules.mail.push(...rulesOf(opening));
    if (opening.mark === undefined && cidr.bits === cidr.address.length * 8)
      rules.own.push(...rulesOf(opening));
    if (closed.some((place) => isInside(cidr, place))) {
      rules.places.push(...rulesOf(opening, secretsWithin(cidr)));
    }
  }
  return rules;
}

/** None where the opening is for a device that has no address in that family. */
function rulesOf({ cidr, from, mark }: GuardOpening, except: readonly string[] = []): readonly string[] {
  const v6 = cidr.includes(':');
  const word = v6 ? 'ip6' : 'ip';
  const spared = except.length === 0 ? '' : ` ${word} daddr != { ${except.join(', ')} }`;
  const by = mark === undefined ? '' : ` meta mark & ${mark}`;
  const to = `${word} daddr ${cidr}${spared}${by} accept`;
  if (from === undefined) return [to];
  const sources = from.filter((prefix) => prefix.includes(':') === v6);
  return sources.length === 0 ? [] : [`${word} saddr { ${sources.join(', ')} } ${to}`];
}

/** The other way, for what was begun through the opening. */
function answersTo({ cidr, from }: GuardOpening): readonly string[] {
  const v6 = cidr.includes(':');
  const word = v6 ? 'ip6' : 'ip';
  const back = `${word} saddr ${cidr} ct state established,related ct direction reply accept`;
  if (from === undefined) return [back];
  const askers = from.filter((prefix) => prefix.includes(':') === v6);
  return askers.length === 0 ? [] : [`${word} daddr { ${askers.join(', ')} } ${back}`];
}

/** Addresses of metadata services that the prefix holds and does not name. */
function secretsWithin(cidr: Prefix): readonly string[] {
  return [...metadataRanges.v4, ...metadataRanges.v6].filter((text) => {
    const place = parsePrefix(text);
    return place !== undefined && place.bits > cidr.bits && prefixContains(cidr, place.address);
  });
}

function prefixesOf(ranges: ClosedRanges): readonly Prefix[] {
  return [...ranges.v4, ...ranges.v6].flatMap((text) => parsePrefix(text) ?? []);
}
