// What workers rehearse, with the system's sockets on loopback: it works, leads nowhere and leaves nothing.

import { describe, expect, test } from 'vitest';
import { openProxyRehearsal } from '../../client/proxy/rehearsal.ts';
import { openEgressRehearsal } from '../../edge/egress/rehearsal.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import type { Rehearsal } from '../../shared/node/flows/quiet-rehearsal.ts';
import { silentLog } from '../../shared/node/silent-log.ts';

const parts = { clock: systemClock(), entropy: systemEntropy(), log: silentLog };
const kinds: readonly (readonly [string, () => Promise<Rehearsal>])[] = [
  ['of the proxy', () => openProxyRehearsal(parts)],
  ['of the way out', () => openEgressRehearsal(parts)],
];
const someRounds = 40;

/** Sockets of the system that this process has open. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length;
}

describe.each(kinds)('the rehearsal %s', (_name, open) => {
  test('carries one connection after the other', async () => {
    const rehearsal = await open();
    let done = 0;

    for (; done < someRounds; done++) await rehearsal.round();

    expect(done).toBe(someRounds);
    await rehearsal.close();
  });

  test('leaves no socket open', async () => {
    const before = sockets();
    const rehearsal = await open();
    for (let round = 0; round < 4; round++) await rehearsal.round();

    await rehearsal.close();

    await expect.poll(sockets, { timeout: 10_000 }).toBeLessThanOrEqual(before);
  });
});
