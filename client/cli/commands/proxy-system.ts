/** `culvert proxy system`: the desktop's own proxy settings, in the session of the user who asks. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { defaultStateDir } from '../../../shared/node/control/places.ts';
import { run } from '../../../shared/node/run.ts';
import { parseDoor } from '../../exec/plan.ts';
import {
  type DesktopProxyOutcome,
  desktopJournal,
  desktopProxyStatus,
  setDesktopProxy,
} from '../../host/desktop-proxy/desktop-proxy.ts';
import type { ProxyAddress } from '../../host/desktop-proxy/plan.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { needDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

export function addProxySystem(proxy: Command, context: CliContext): void {
  const command = proxy
    .command('system')
    .argument('[on|off]', 'use the proxy, or go back to what was set before; nothing: show it')
    .description("set the desktop's proxy: GNOME, KDE and the environment of new sessions")
    .action(async (wanted: string | undefined, flags: SharedFlags) => {
      const { home } = context.account;
      const tools = { run, home, journal: desktopJournal(defaultStateDir(context.account)) };
      if (wanted === 'on') say(await setDesktopProxy(await addressOf(context, flags), tools), context, flags);
      else if (wanted === 'off') say(await setDesktopProxy(undefined, tools), context, flags);
      else if (wanted === undefined) {
        const { stores, changedSince } = await desktopProxyStatus(tools);
        const notes = changedSince.map((place) => `${place} was changed by somebody else since.`);
        say({ stores, notes }, context, flags);
      } else throw new CulvertError('bad-usage', { text: `'${wanted}' is neither on nor off.` });
    });
  withSharedFlags(command);
}

/** Where the proxy is now, else where it will be. */
async function addressOf(context: CliContext, flags: SharedFlags): Promise<ProxyAddress> {
  const client = await needDaemon(context, flags);
  const { username } = await client.call('proxyLogin');
  if (username !== undefined) context.note('Programs of the desktop will ask for the password of the proxy.');
  const { proxy } = await client.call('status');
  if (proxy !== undefined) return parseDoor(proxy.address);
  const settings = await client.call('settings');
  const port = Number(settings.find((entry) => entry.name === 'proxy.port')?.value ?? 0);
  if (port > 0) return { host: '127.0.0.1', port };
  throw new CulvertError('not-connected', {
    text: 'The proxy has no port yet: it takes a free one when it starts.',
    remedy: 'Connect first, or choose one: culvert proxy port 40000',
  });
}

function say({ stores, notes }: DesktopProxyOutcome, context: CliContext, flags: SharedFlags): void {
  if (flags.json === true) {
    context.print(JSON.stringify({ stores, notes }));
    return;
  }
  for (const note of notes) context.note(note);
  context.print(
    stores.length === 0
      ? 'The desktop does not use the proxy of culvert.'
      : `The desktop uses the proxy of culvert (${stores.join(', ')}). Programs that run already may need a new start.`,
  );
}
