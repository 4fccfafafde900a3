/** Routes between the interfaces of several packet workers, through `ip`. They die with the interfaces. */

import type { RouteChanges, ShardRoute } from '../../shared/core/tunnel/shard-routes.ts';
import type { Run } from '../../shared/node/run.ts';

/** The edge's own addresses in the tunnel: what it says itself to a device comes from there. */
export interface RouteSources {
  readonly v4: string | undefined;
  readonly v6: string | undefined;
}

export async function applyRoutes(changes: RouteChanges, sources: RouteSources, run: Run): Promise<void> {
  const { add, remove } = changes;
  if (add.length > 0) await run('ip', ['-batch', '-'], { stdin: batch('replace', add, sources) });
  // A route that went with its interface need not be removed.
  if (remove.length > 0) {
    await run('ip', ['-force', '-batch', '-'], { stdin: batch('delete', remove, none), allowFailure: true });
  }
}

const none: RouteSources = { v4: undefined, v6: undefined };

function batch(verb: 'replace' | 'delete', routes: readonly ShardRoute[], sources: RouteSources): string {
  const lines = routes.map(({ prefix, interfaceName }) => {
    const source = prefix.includes(':') ? sources.v6 : sources.v4;
    return `route ${verb} ${prefix} dev ${interfaceName}${source === undefined ? '' : ` src ${source}`}`;
  });
  return `${lines.join('\n')}\n`;
}
