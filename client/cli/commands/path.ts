/** `culvert path`: the ways out of the edge that this machine may use, which one it takes, and why. */

import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { Series } from '../../../shared/core/control/graph.ts';
import type { ControlClient } from '../../../shared/node/control/socket-client.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { historyLength, renderPaths, renderPathWhy } from '../render-paths.ts';

interface ListFlags extends SharedFlags {
  readonly watch?: boolean;
}

interface WhyFlags extends SharedFlags {
  readonly port?: string;
  readonly udp?: boolean;
}

/** How often the edge is asked while somebody watches. */
const watchMs = 2000;
const lastPort = 65_535;
/** Cursor to the first column of the first line, and everything behind it cleared. */
const clearScreen = '\u001B[H\u001B[J';

export function addPath(program: Command, context: CliContext): void {
  const path = program
    .command('path')
    .description('ways out of the edge: which there are, and which is used');
  const list = path
    .command('list')
    .description('the ways out that this machine may use, and how they do')
    .option('--watch', 'print them again and again, with the last minute as a graph, until interrupted')
    .action(async (flags: ListFlags) => {
      const client = await findDaemon(context, flags);
      if (flags.watch === true) await watch(client, context, flags);
      const found = await client.call('paths');
      context.print(flags.json === true ? JSON.stringify(found) : renderPaths(found));
    });
  const use = path
    .command('use')
    .argument('<path>', 'its id, or auto: the edge chooses the best')
    .description('choose the way out; flows that run stay where they are')
    .action(async (id: string, flags: SharedFlags) => {
      const found = await (await findDaemon(context, flags)).call('usePath', { path: id });
      context.print(flags.json === true ? JSON.stringify(found) : renderPaths(found));
    });
  const why = path
    .command('why')
    .argument('<host>', 'a name or an address')
    .option('--port <port>', 'default: 443')
    .option('--udp', 'datagrams instead of a connection')
    .description('by which way out a place is reached, and why')
    .action(async (host: string, flags: WhyFlags) => {
      const request = {
        host,
        ...(flags.port === undefined ? {} : { port: portOf(flags.port) }),
        ...(flags.udp === true ? { protocol: 'udp' as const } : {}),
      };
      const found = await (await findDaemon(context, flags)).call('whyPath', request);
      context.print(flags.json === true ? JSON.stringify(found) : renderPathWhy(found));
    });
  for (const command of [list, use, why]) withSharedFlags(command);
}

/** Until it is interrupted, or the edge cannot be asked. */
async function watch(client: ControlClient, context: CliContext, flags: ListFlags): Promise<never> {
  const history = new Series(historyLength);
  const isScreen = process.stdout.isTTY && flags.json !== true;
  for (;;) {
    const found = await client.call('paths');
    for (const { id, rttMs } of found.paths) history.add(id, rttMs);
    const text = flags.json === true ? JSON.stringify(found) : renderPaths(found, history);
    context.print(isScreen ? `${clearScreen}${text}` : text);
    await wait(watchMs);
  }
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= lastPort) return port;
  throw new CulvertError('bad-usage', { text: `'${text}' is no port.` });
}
