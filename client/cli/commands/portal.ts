/** `culvert portal`: the sign-in that a network wants. */

import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import type { PortalReport } from '../../../shared/core/control/portal-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

export function addPortal(program: Command, context: CliContext): void {
  const portal = program
    .command('portal')
    .description('the sign-in that a network wants before it lets anything through');
  const show = (report: PortalReport, flags: SharedFlags): void =>
    context.print(flags.json === true ? JSON.stringify(report) : renderPortal(report));
  const status = portal
    .command('status', { isDefault: true })
    .description('whether this network wants one')
    .action(async (flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('portal'), flags),
    );
  const open = portal
    .command('open')
    .description('open the page that leads to the sign-in, and the way to it for five minutes more')
    .action(async (flags: SharedFlags) => {
      const report = await (await findDaemon(context, flags)).call('openPortal');
      show(report, flags);
      if (flags.json !== true && report.portal !== undefined) openInBrowser(report.portal.url);
    });
  const ignore = portal
    .command('ignore')
    .description('this network has no sign-in, whatever it answers; remembered for it')
    .action(async (flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('ignorePortal'), flags),
    );
  for (const command of [status, open, ignore]) withSharedFlags(command);
}

export function renderPortal({ detection, portal, verdict, ignored }: PortalReport): string {
  if (portal !== undefined) {
    const until =
      portal.opensUntil === undefined ? '' : `\nThe way to it is open until ${portal.opensUntil}.`;
    return `This network wants you to sign in first. Open this page in your browser:\n  ${portal.url}${until}`;
  }
  if (ignored) return 'You said that this network has no sign-in; it is not asked for one.';
  if (!detection) return 'Networks are not asked for a sign-in: the setting portal.detection is off.';
  return verdict === undefined
    ? 'Nothing points to a sign-in.'
    : `This network wants no sign-in, as far as culvert can tell (last answer: ${verdict}).`;
}

/** The desktop's own way, where there is a desktop; the page is printed in any case. */
function openInBrowser(url: string): void {
  const hasDesktop = process.env['DISPLAY'] !== undefined || process.env['WAYLAND_DISPLAY'] !== undefined;
  // Root's browser would be the wrong one.
  if (!hasDesktop || process.getuid?.() === 0) return;
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined); // The page was printed.
  child.unref();
}
