/**
 * Knobs for tests with real peers, from the environment: shortened times and a first counter. Not
 * for users: both weaken what the protocol promises.
 */

import type { Limits } from '../../core/session/limits.ts';
import type { ThreadOptions } from '../dataplane/thread-body.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads CULVERT_TEST_LIMITS (JSON of Partial<Limits>) and CULVERT_TEST_COUNTER (a number). */
export function testOptions(environment: Environment): Pick<ThreadOptions, 'limits' | 'firstCounter'> {
  const limits = environment['CULVERT_TEST_LIMITS'];
  const counter = environment['CULVERT_TEST_COUNTER'];
  return {
    ...(limits === undefined ? {} : { limits: JSON.parse(limits) as Partial<Limits> }),
    ...(counter === undefined ? {} : { firstCounter: Number(counter) }),
  };
}
