/**
 * Which packets a lossy link of the lab loses: of every thousand in one direction the same ones for the same seed, so that
 * a network can be played again packet by packet. Pure.
 */

import { assert } from '../../shared/core/base/assert.ts';
import { seededChance } from '../../shared/node/lab/seeded-chance.ts';

/** Then the pattern begins anew. */
export const lossPeriod = 1000;
export const defaultLossSeed = 1;

/** Places from 0 to `lossPeriod` - 1, ascending. `percent`: 0 to 100, as fine as a tenth. */
export function lostPlaces(percent: number, seed: number): readonly number[] {
  assert(percent >= 0 && percent <= 100, 'a share of all packets');
  const chance = seededChance(seed);
  const places = Array.from({ length: lossPeriod }, (_, i) => i);
  const count = Math.round((percent * lossPeriod) / 100);
  // The first ones of a shuffle (Fisher and Yates).
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor(chance() * (lossPeriod - i));
    [places[i], places[j]] = [places[j] ?? 0, places[i] ?? 0];
  }
  return places.slice(0, count).toSorted((a, b) => a - b);
}

/** Rule of nft that drops them among the packets that `match` names. */
export function lossRule(match: string, percent: number, seed: number): readonly string[] {
  const places = lostPlaces(percent, seed);
  if (places.length === 0) return [];
  return [
    `${match} numgen inc mod ${lossPeriod} vmap { ${places.map((place) => `${place} : drop`).join(', ')} }`,
  ];
}
