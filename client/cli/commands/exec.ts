/** `culvert exec`: run one program through the tunnel. On success this process has become that program. */

import type { Command } from 'commander';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import { become, dropLent, findCommand } from '../../exec/become.ts';
import { tryIsolation } from '../../exec/isolation.ts';
import { type Launch, launch } from '../../exec/launch.ts';
import { parseDoor, planExec } from '../../exec/plan.ts';
import { type ProxyDoor, spareAddress } from '../../exec/settings.ts';
import { proxyVariables } from '../../exec/variables.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface ExecFlags extends SharedFlags {
  readonly strict?: boolean;
}

const smallestMtu = 1280;
const usualMtu = 1420;

export function addExec(program: Command, context: CliContext): void {
  const command = program
    .command('exec')
    .usage('[options] -- COMMAND…')
    .argument('<command...>', 'the program and its words, after --')
    .option('--strict', 'refuse where the program cannot have a network of its own')
    .description('run one program through the tunnel')
    .action(async (words: readonly string[], flags: ExecFlags) => {
      const client = await findDaemon(context, flags);
      const status = await client.call('status');
      findCommand(words[0] ?? '', process.env['PATH']);
      const plan = planExec({ status, isolation: tryIsolation, strict: flags.strict === true });
      if (plan.kind !== 'isolated') context.note(plan.note);
      if (plan.kind === 'plain') {
        dropLent();
        become(words);
      }
      const door = { ...parseDoor(status.proxy?.address), ...(await client.call('proxyLogin')) };
      if (plan.kind === 'variables') runWithVariables(door, words);
      await launch({ ...networkOf(status, door), ownUser: plan.ownUser, command: words });
    });
  withSharedFlags(command);
}

function runWithVariables(door: ProxyDoor, words: readonly string[]): never {
  for (const [name, value] of Object.entries(proxyVariables(door))) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  dropLent();
  return become(words);
}

function networkOf(status: Status, door: ProxyDoor): Pick<Launch, 'carrier' | 'inside'> {
  const mtu = Math.max(smallestMtu, status.dataplane?.mtu ?? usualMtu);
  const isV4 = (text: string): boolean => parseAddress(text)?.length === 4;
  const addresses = status.addresses.some(isV4) ? status.addresses : [spareAddress, ...status.addresses];
  return {
    carrier: { proxy: door, resolvers: status.proxy?.resolvers ?? [], mtu },
    inside: { mtu, addresses, proxyPort: door.port },
  };
}
