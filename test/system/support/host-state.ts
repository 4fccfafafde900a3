/** Everything that an edge may change on its host: what must be the same before it and after it. */

import { readdirSync } from 'node:fs';
import type { LabHost } from '../../../shared/node/lab/topology.ts';

/** As texts that can be compared. `folder`: the edge's own. */
export async function hostStateOf(
  host: LabHost,
  folder: string,
  interfaceName: string,
): Promise<Record<string, string>> {
  const read = async (program: string, ...words: string[]): Promise<string> =>
    (await host.run(program, words)).stdout;
  const leftFiles = (path: string): string[] => {
    try {
      return readdirSync(path).filter((name) => name.includes(interfaceName) || /sock|journal/.test(name));
    } catch {
      return [];
    }
  };
  return {
    tables: await read('nft', 'list', 'ruleset'),
    links: await read('ip', '-brief', 'link'),
    routes: await read('ip', 'route', 'show', 'table', 'all', 'type', 'unicast'),
    forwarding: await read('cat', '/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding'),
    routers: await read('sh', '-c', 'cat /proc/sys/net/ipv6/conf/*/accept_ra'),
    files: leftFiles(folder).join(),
    sockets: leftFiles('/var/run/wireguard')
      .filter((name) => name.includes(interfaceName))
      .join(),
  };
}
