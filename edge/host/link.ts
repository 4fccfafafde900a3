/** Gives the tunnel's interface its addresses and brings it up, through `ip`. It dies with the tunnel. */

import type { Run } from '../../shared/node/run.ts';

export interface LinkPlan {
  readonly interfaceName: string;
  readonly mtu: number;
  /** The edge's own addresses with the prefix length of the network: '10.83.0.1/16'. */
  readonly addresses: readonly string[];
}

export async function bringUp(plan: LinkPlan, run: Run): Promise<void> {
  const dev = plan.interfaceName;
  // No link-local address of its own: nobody in the tunnel would answer its router solicitations.
  await run('ip', ['link', 'set', 'dev', dev, 'addrgenmode', 'none'], { allowFailure: true });
  for (const address of plan.addresses) {
    const family = address.includes(':') ? ['-6'] : ['-4'];
    const noProbe = address.includes(':') ? ['nodad'] : [];
    await run('ip', [...family, 'address', 'replace', address, 'dev', dev, ...noProbe]);
  }
  await run('ip', ['link', 'set', 'dev', dev, 'mtu', String(plan.mtu), 'up']);
}
