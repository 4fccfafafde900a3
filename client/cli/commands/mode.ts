/** `culvert mode`: which traffic is protected. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { parseMode } from '../../../shared/core/control/status.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { needDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderModes } from '../render.ts';

export function addMode(program: Command, context: CliContext): void {
  const command = program
    .command('mode')
    .argument('[mode]', 'the mode to use from now on')
    .description('show or choose the mode: tunnel+doh, tunnel+dot, tunnel, tunnel_only, doh, dot or proxy')
    .action(async (wanted: string | undefined, flags: SharedFlags) => {
      const mode = wanted === undefined ? undefined : parseMode(wanted);
      if (wanted !== undefined && mode === undefined) {
        throw new CulvertError('unknown-mode', { text: `There is no mode named '${wanted}'.` });
      }
      const client = await needDaemon(context, flags);
      if (mode !== undefined) await client.call('changeSettings', { mode });
      const list = await client.call('modes');
      context.print(flags.json === true ? JSON.stringify(list) : renderModes(list));
    });
  withSharedFlags(command);
}
