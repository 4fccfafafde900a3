/** `culvert route explain`: which way something goes, and why. */

import type { Command } from 'commander';
import type { ExplainView } from '../../../shared/core/control/split-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

export function addRoute(program: Command, context: CliContext): void {
  const route = program.command('route').description('which way packets go');
  const explain = route
    .command('explain')
    .argument('<host>', 'a name, an address or a URL')
    .description('which rule, which path, why')
    .action(async (host: string, flags: SharedFlags) => {
      const view = await (await findDaemon(context, flags)).call('explainRoute', { host });
      context.print(flags.json === true ? JSON.stringify(view) : renderWays(view));
    });
  withSharedFlags(explain);
}

const words = {
  tunnel: 'through the tunnel',
  outside: 'outside the tunnel',
  refused: 'refused',
  machine: 'stays on this machine',
} as const;

function renderWays({ host, resolved, ways }: ExplainView): string {
  const first = resolved === undefined ? [] : [`${host}, as looked up by ${resolved}:`];
  const lines = ways.flatMap((way) => {
    const by = way.interface === undefined ? '' : `, by ${way.interface}`;
    const path = way.edgePath === undefined ? '' : `, then path ${way.edgePath} of the edge`;
    return [
      `${way.address ?? host}: ${words[way.path]}${way.path === 'refused' ? '' : by}${path}`,
      `  rule: ${way.rule}`,
      `  ${way.why}`,
    ];
  });
  return [...first, ...lines].join('\n');
}
