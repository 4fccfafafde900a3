/** `culvert-edge path`: the ways out of a running edge, how they do, and why a place is reached by one of them. */

import { lookup } from 'node:dns/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { bar, Series, sparkline } from '../../../shared/core/control/graph.ts';
import { askPaths } from '../../admin/client.ts';
import type { PathStatus } from '../../egress/egress-paths.ts';
import type { PathsQuestion, WhyAnswer } from '../../egress/paths-question.ts';
import { table } from '../amounts.ts';
import { addSharedFlags, controlSocket, print, type SharedFlags } from '../place.ts';
import { bytesText } from '../render.ts';

interface WhyFlags extends SharedFlags {
  readonly device?: string;
  readonly port?: string;
  readonly udp?: boolean;
}

interface ListFlags extends SharedFlags {
  readonly watch?: boolean;
}

interface DrainFlags extends SharedFlags {
  readonly off?: boolean;
}

const usualPort = 443;
const lastPort = 65_535;
/** Blocks of the bar that shows a path's share. */
const barWidth = 10;
/** Measurements in a graph, and how far they are apart: a minute in all. */
const historyLength = 30;
const watchMs = 2000;
/** Cursor to the first column of the first line, and everything behind it cleared. */
const clearScreen = '\u001B[H\u001B[J';

export function addPath(program: Command): void {
  const path = program.command('path').description('the ways out of a running edge').helpOption('--help');
  addSharedFlags(path.command('list'))
    .description('every path: how it does, and what goes by it')
    .option('--watch', 'print them again and again, with the last minute as a graph, until interrupted')
    .action((flags: ListFlags) => (flags.watch === true ? watch(flags) : show(flags, { what: 'list' })));
  addSharedFlags(path.command('probe [ID]'))
    .description('measure one path now, or all')
    .action((id: string | undefined, flags: SharedFlags) => show(flags, { what: 'probe', path: id }));
  addSharedFlags(path.command('drain <ID>'))
    .description('new flows avoid the path; those that run stay')
    .option('--off', 'let it have new flows again')
    .action((id: string, flags: DrainFlags) =>
      show(flags, { what: 'drain', path: id, isDrained: flags.off !== true }),
    );
  addSharedFlags(path.command('why <HOST>'))
    .description('by which path a name or an address is reached, and why')
    .option('--device <NAME>', 'as this device')
    .option('--port <PORT>', 'default: 443')
    .option('--udp', 'datagrams instead of a connection')
    .action(why);
}

async function show(flags: SharedFlags, question: PathsQuestion): Promise<void> {
  const paths = (await askPaths(controlSocket(flags), question)) as readonly PathStatus[];
  print(flags, paths, () => pathTable(paths));
}

/** Until it is interrupted, or the edge ends. With --json one line each time. */
async function watch(flags: ListFlags): Promise<never> {
  const history = new Series(historyLength);
  const isScreen = process.stdout.isTTY && flags.json !== true;
  for (;;) {
    const paths = (await askPaths(controlSocket(flags), { what: 'list' })) as readonly PathStatus[];
    for (const { id, rttMs } of paths) history.add(id, rttMs ?? undefined);
    const text = flags.json === true ? `${JSON.stringify(paths)}\n` : pathTable(paths, history);
    process.stdout.write(isScreen ? `${clearScreen}${text}` : text);
    await wait(watchMs);
  }
}

async function why(host: string, flags: WhyFlags): Promise<void> {
  const port = Number(flags.port ?? usualPort);
  if (!Number.isInteger(port) || port < 1 || port > lastPort) {
    throw new CulvertError('bad-usage', { text: `"${flags.port}" is no port.` });
  }
  const answer = (await askPaths(controlSocket(flags), {
    what: 'why',
    host,
    addresses: await addressesOf(host),
    device: flags.device,
    port,
    protocol: flags.udp === true ? 'udp' : 'tcp',
  })) as WhyAnswer;
  print(flags, answer, () => whyText(answer));
}

/** For rules that name addresses; the device's own answer may be another. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (parseAddress(host) !== undefined) return [host];
  try {
    return (await lookup(host, { all: true })).map((found) => found.address);
  } catch (cause) {
    throw new CulvertError('endpoint-unresolved', {
      text: `The name ${host} cannot be looked up here.`,
      remedy: 'Check its spelling, or ask for its address.',
      cause,
    });
  }
}

/** Exported for tests. `history`: of the times, by id; then every path has its graph. */
export function pathTable(paths: readonly PathStatus[], history?: Series): string {
  const rows = paths.map((path) => [
    `${path.id}${path.isDefault ? ' *' : ''}`,
    path.type,
    path.state,
    path.rttMs === null ? '' : `${path.rttMs} ms`,
    path.type === 'block' ? '' : `${path.lossPercent} %`,
    String(path.flows),
    path.bytes === undefined ? '' : bytesText(path.bytes),
    path.type === 'block' ? '' : `${bar(path.sharePercent / 100, barWidth)} ${path.sharePercent} %`,
    ...(history === undefined ? [] : [sparkline(history.of(path.id), historyLength)]),
    path.reason ?? path.trouble ?? '',
  ]);
  const graph = history === undefined ? [] : ['LAST MINUTE'];
  const head = ['PATH', 'TYPE', 'STATE', 'CONNECT', 'LOSS', 'FLOWS', 'BYTES', 'SHARE', ...graph, 'WHY'];
  return table([head, ...rows]);
}

/** Exported for tests. */
export function whyText(answer: WhyAnswer): string {
  const isNamed = parseAddress(answer.host) === undefined;
  const lines = answer.answers.map(({ address, sentence }) =>
    isNamed ? `${address}: ${sentence}` : sentence,
  );
  return `${lines.join('\n')}\n`;
}
