/** `culvert-edge path`: the ways out of a running edge, how they do, and why a place is reached by one of them. */

import { lookup } from 'node:dns/promises';
import type { Command } from 'commander';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { askPaths } from '../../admin/client.ts';
import type { PathStatus } from '../../egress/egress-paths.ts';
import type { PathsQuestion, WhyAnswer } from '../../egress/paths-question.ts';
import { table } from '../amounts.ts';
import { addSharedFlags, controlSocket, print, type SharedFlags } from '../place.ts';

interface WhyFlags extends SharedFlags {
  readonly device?: string;
  readonly port?: string;
  readonly udp?: boolean;
}

interface DrainFlags extends SharedFlags {
  readonly off?: boolean;
}

const usualPort = 443;
const lastPort = 65_535;
/** Blocks of the bar that shows a path's share. */
const barWidth = 10;

export function addPath(program: Command): void {
  const path = program.command('path').description('the ways out of a running edge').helpOption('--help');
  addSharedFlags(path.command('list'))
    .description('every path: how it does, and what goes by it')
    .action((flags: SharedFlags) => show(flags, { what: 'list' }));
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

/** Exported for tests. */
export function pathTable(paths: readonly PathStatus[]): string {
  const rows = paths.map((path) => [
    `${path.id}${path.isDefault ? ' *' : ''}`,
    path.type,
    path.state,
    path.rttMs === null ? '' : `${path.rttMs} ms`,
    path.type === 'block' ? '' : `${path.lossPercent} %`,
    String(path.flows),
    path.type === 'block' ? '' : bar(path.sharePercent),
    path.trouble ?? '',
  ]);
  return table([['PATH', 'TYPE', 'STATE', 'CONNECT', 'LOSS', 'FLOWS', 'SHARE', ''], ...rows]);
}

/** Exported for tests. */
export function whyText(answer: WhyAnswer): string {
  const isNamed = parseAddress(answer.host) === undefined;
  const lines = answer.answers.map(({ address, sentence }) =>
    isNamed ? `${address}: ${sentence}` : sentence,
  );
  return `${lines.join('\n')}\n`;
}

function bar(percent: number): string {
  const full = Math.round((percent / 100) * barWidth);
  return `${'█'.repeat(full)}${'·'.repeat(barWidth - full)} ${percent} %`;
}
