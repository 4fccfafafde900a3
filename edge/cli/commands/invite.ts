/** `culvert-edge invite`: a link that lets a device in; the open ones; taking one back. */

import type { Command } from 'commander';
import { defaultInviteSeconds, type IssuedInvite } from '../../../shared/core/registration/admin-api.ts';
import { operatorActor } from '../../registration/administration.ts';
import { parseCount, parseSeconds, table, whenText } from '../amounts.ts';
import { addSharedFlags, print, type SharedFlags, withEdge } from '../place.ts';
import { qrText } from '../qr.ts';

interface InviteFlags extends SharedFlags {
  readonly name?: string;
  readonly ttl?: string;
  readonly uses?: string;
  readonly path?: string;
  readonly qr?: boolean;
}

export function addInvite(program: Command): void {
  const invite = addSharedFlags(program.command('invite'))
    .description('make an invitation: a link that lets a device in')
    .option('--name <NAME>', 'how the device will be called')
    .option('--ttl <DURATION>', 'how long it works: 90s, 15m, 12h, 7d', `${defaultInviteSeconds / 60}m`)
    .option('--uses <NUMBER>', 'for how many devices', '1')
    .option('--path <PATH>', 'pin the device to this path')
    .option('--qr', 'as a QR code too (in a terminal: always)')
    .action(async (flags: InviteFlags) => {
      const issued = await withEdge(flags, ({ administration }) =>
        administration.invite(
          {
            ttlSeconds: parseSeconds(flags.ttl ?? '15m'),
            uses: parseCount(flags.uses ?? '1'),
            ...(flags.name === undefined ? {} : { name: flags.name }),
            ...(flags.path === undefined ? {} : { path: flags.path }),
          },
          operatorActor,
        ),
      );
      print(flags, inviteResult(issued), () => inviteText(issued, wantsQr(flags)));
    });
  addSharedFlags(invite.command('list'))
    .description('invitations that are open, used or expired today')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<SharedFlags>();
      const invites = await withEdge(flags, ({ administration }) => administration.invites());
      const rows = invites.map((one) => [
        one.id,
        one.name ?? '',
        whenText(one.expiresAt),
        `${one.usesLeft} of ${one.uses}`,
      ]);
      print(flags, invites, () => table([['ID', 'NAME', 'UNTIL', 'USES LEFT'], ...rows]));
    });
  addSharedFlags(invite.command('remove'))
    .description('take an invitation back')
    .argument('<id>', 'as list shows it')
    .action(async (id: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<SharedFlags>();
      await withEdge(flags, ({ administration }) => administration.removeInvite(id, operatorActor));
      print(flags, { id }, () => 'That invitation works no more.\n');
    });
}

export function wantsQr(flags: { readonly qr?: boolean }): boolean {
  return flags.qr === true || process.stdout.isTTY;
}

/** What programs get. */
export function inviteResult(issued: IssuedInvite): object {
  const { link, expiresAt, uses, id, name } = issued;
  return { link, expires: expiresAt, uses, id, ...(name === undefined ? {} : { name }) };
}

export function inviteText(issued: IssuedInvite, qr: boolean): string {
  const { link, uses, expiresAt } = issued;
  const whom = uses === 1 ? 'one device' : `${uses} devices`;
  return [
    `An invitation for ${whom}, until ${whenText(expiresAt)}. Whoever has it gets in: keep it to yourself.`,
    '',
    ...(qr ? [qrText(link)] : []),
    `  culvert enroll '${link}'`,
    '',
  ].join('\n');
}
