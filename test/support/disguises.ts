/** Rules of a disguise for tests. */

import { type DisguiseFields, faultsText, readDisguise } from '../../shared/core/wire/disguise-fields.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';

/** Every parameter set, types as ranges. */
export const fullFields = {
  jc: '4',
  jmin: '40',
  jmax: '900',
  s1: '33',
  s2: '71',
  s3: '20',
  s4: '18',
  h1: '100000-200000',
  h2: '300000-400000',
  h3: '500000-600000',
  h4: '700000-800000',
} as const satisfies DisguiseFields;

/** What every version of AmneziaWG has: no S3 and S4, single values. */
export const firstVersionFields = {
  jc: '3',
  jmin: '50',
  jmax: '1000',
  s1: '86',
  s2: '57',
  h1: '1376979037',
  h2: '1283620850',
  h3: '917053776',
  h4: '1696394334',
} as const satisfies DisguiseFields;

export function rulesOf(fields: DisguiseFields): DisguiseRules {
  const reading = readDisguise(fields);
  if (reading.kind === 'faults') throw new Error(faultsText(reading.faults));
  return reading.rules;
}
