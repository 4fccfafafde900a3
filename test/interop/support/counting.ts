// Counts datagrams on the cable by nft counters: what was really sent, whoever sent it.
import type { Host } from './hosts.ts';

const table = 'culvert_interop';

/** Counts datagrams that leave (`output`) or reach (`input`) the host and match the words of an nft expression. */
export async function countDatagrams(
  host: Host,
  hook: 'input' | 'output',
  expression: string,
): Promise<() => Promise<number>> {
  const name = `counter${Math.trunc(performance.now() * 1000)}`;
  // What a worker rehearses stays on loopback, and is no traffic.
  const device = hook === 'output' ? 'oifname' : 'iifname';
  const script = `
    add table inet ${table}
    add counter inet ${table} ${name}
    add chain inet ${table} ${hook} { type filter hook ${hook} priority 0; }
    add rule inet ${table} ${hook} ${device} != lo ${expression} counter name ${name}
  `;
  const { code, err } = await host.try(['nft', '-f', '-'], { stdin: script });
  if (code !== 0) throw new Error(`nft: ${err}`);
  return async () => {
    const text = await host.run('nft', 'list', 'counter', 'inet', table, name);
    return Number(/packets (\d+)/.exec(text)?.[1] ?? 0);
  };
}
