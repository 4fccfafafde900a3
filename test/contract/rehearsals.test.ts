// What workers rehearse, with the system's sockets on loopback: it works, leads nowhere and leaves nothing.

import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openProxyRehearsal } from '../../client/proxy/rehearsal.ts';
import { openEgressRehearsal } from '../../edge/egress/rehearsal.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import type { Rehearsal } from '../../shared/node/flows/quiet-rehearsal.ts';
import { silentLog } from '../../shared/node/silent-log.ts';

const parts = { clock: systemClock(), entropy: systemEntropy(), log: silentLog };
/** Native sockets where this system has them. */
const carriers = ffiAvailable().ok ? (['linux', 'dgram'] as const) : (['dgram'] as const);
const kinds: readonly (readonly [string, () => Promise<Rehearsal>])[] = carriers.flatMap((udp) => [
  [`of the proxy, by ${udp} sockets`, () => openProxyRehearsal({ udp, ...parts })] as const,
  [`of the way out, by ${udp} sockets`, () => openEgressRehearsal({ udp, ...parts })] as const,
]);
const someRounds = 40;

/** Sockets that this process has open, native ones included where the system tells. */
function sockets(): number {
  const listed = '/proc/self/fd';
  if (existsSync(listed)) return readdirSync(listed).filter((fd) => isSocket(join(listed, fd))).length;
  return process.getActiveResourcesInfo().filter((kind) => /^(TCP|UDP)/.test(kind)).length;
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    return false; // Closed since it was listed.
  }
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
