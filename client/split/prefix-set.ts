/**
 * Sets of addresses as prefixes: (included and allowed) minus excluded, in both families. Pure. The result is the one
 * shortest list of prefixes without overlap, in order.
 */

import { comparePrefixes, type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';

/** Taking one address out of everything leaves 128 prefixes in IPv6; more than this nobody means. */
export const maxResultPrefixes = 65_536;

export const everything: readonly Prefix[] = ['0.0.0.0/0', '::/0']
  .map(parsePrefix)
  .filter((prefix) => prefix !== undefined);

/** What is in `included`, not in `excluded`. Undefined where the list would be too long. */
export function difference(
  included: readonly Prefix[],
  excluded: readonly Prefix[],
): readonly Prefix[] | undefined {
  const out: Prefix[] = [];
  for (const root of everything) {
    const inside = (one: Prefix): boolean => one.address.length === root.address.length;
    if (!walk(root, included.filter(inside), excluded.filter(inside), out)) return undefined;
  }
  return out.toSorted(comparePrefixes);
}

/** What is in both. Undefined where the list would be too long. */
export function intersection(a: readonly Prefix[], b: readonly Prefix[]): readonly Prefix[] | undefined {
  return difference(overlaps(a, b), []);
}

/** The narrower of each pair that meets: in both, not shortened, and possibly twice. */
export function overlaps(a: readonly Prefix[], b: readonly Prefix[]): readonly Prefix[] {
  return a.flatMap((one) =>
    b.flatMap((other) => (isInside(one, other) ? [one] : isInside(other, one) ? [other] : [])),
  );
}

/** True where every address of `narrow` is in `wide`. */
export function isInside(narrow: Prefix, wide: Prefix): boolean {
  return wide.bits <= narrow.bits && prefixContains(wide, narrow.address);
}

/** True where the address is in one of them. */
export function covers(prefixes: readonly Prefix[], address: Uint8Array): boolean {
  return prefixes.some((prefix) => prefixContains(prefix, address));
}

/** The narrowest of the prefixes that hold the address. */
export function narrowest(prefixes: readonly Prefix[], address: Uint8Array): Prefix | undefined {
  let best: Prefix | undefined;
  for (const prefix of prefixes) {
    if (prefixContains(prefix, address) && (best === undefined || prefix.bits > best.bits)) best = prefix;
  }
  return best;
}

/** Appends what of `root` is in the set. False where it grew too long. At most 128 deep. */
function walk(
  root: Prefix,
  included: readonly Prefix[],
  excluded: readonly Prefix[],
  out: Prefix[],
): boolean {
  if (included.length === 0 || excluded.some((one) => isInside(root, one))) return true;
  if (excluded.length === 0 && included.some((one) => isInside(root, one))) {
    out.push(root);
    return out.length <= maxResultPrefixes;
  }
  const start = out.length;
  const halves = halvesOf(root);
  for (const half of halves) {
    const touches = (one: Prefix): boolean => isInside(half, one) || isInside(one, half);
    if (!walk(half, included.filter(touches), excluded.filter(touches), out)) return false;
  }
  // Two whole halves are the whole.
  if (out.length === start + 2 && out[start] === halves[0] && out[start + 1] === halves[1]) {
    out.length = start;
    out.push(root);
  }
  return true;
}

function halvesOf({ address, bits }: Prefix): readonly [Prefix, Prefix] {
  const upper = address.slice();
  const at = bits >> 3;
  upper[at] = (upper[at] ?? 0) | (0x80 >> (bits & 7));
  return [
    { address, bits: bits + 1 },
    { address: upper, bits: bits + 1 },
  ];
}
