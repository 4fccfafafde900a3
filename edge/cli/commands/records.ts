/** `culvert-edge admin key`, `audit` and `privacy`: who may administer, what was done, what is kept. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { type AdminRole, adminRoles } from '../../../shared/core/registration/admin-api.ts';
import { storedFields } from '../../peers/store-fields.ts';
import { operatorActor } from '../../registration/administration.ts';
import { parseCount, table, whenText } from '../amounts.ts';
import { addSharedFlags, print, type SharedFlags, withEdge } from '../place.ts';

interface KeyFlags extends SharedFlags {
  readonly role?: string;
  readonly expires?: string;
}

interface AuditFlags extends SharedFlags {
  readonly limit?: string;
}

export function addRecords(program: Command): void {
  addAdminKeys(program);
  addSharedFlags(program.command('audit'))
    .description('what was changed, when and by whom; the newest first')
    .option('--limit <NUMBER>', 'how many lines', '50')
    .action(async (flags: AuditFlags) => {
      const limit = parseCount(flags.limit ?? '50');
      const { events } = await withEdge(flags, ({ administration }) => administration.audit({ limit }));
      const rows = events.map((one) => [
        one.at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
        one.actor,
        one.action,
        one.subject,
        Object.entries(one.detail)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ]);
      print(flags, events, () => table([['TIME', 'WHO', 'WHAT', 'TO WHAT', ''], ...rows]));
    });
  addSharedFlags(program.command('privacy'))
    .description('every field that the edge stores, why, and for how long')
    .action((flags: SharedFlags) => {
      const rows = storedFields.map(({ table: place, column, why, kept }) => [
        `${place}.${column}`,
        why,
        kept,
      ]);
      print(flags, storedFields, () => table([['FIELD', 'WHY', 'KEPT'], ...rows]));
    });
}

function addAdminKeys(program: Command): void {
  const admin = program.command('admin').description('who may use the admin API').helpOption('--help');
  const key = admin.command('key').description('admin keys').helpOption('--help');
  addSharedFlags(key.command('add'))
    .description('make a key; it is printed once')
    .argument('<name>')
    .option('--role <ROLE>', 'auditor reads, operator changes devices, owner also keys', 'operator')
    .option('--expires <TIME>', 'until when it works: 2027-01-31T12:00:00Z')
    .action(async (name: string, flags: KeyFlags) => {
      const role = roleOf(flags.role);
      const expiresAt = flags.expires === undefined ? {} : { expiresAt: flags.expires };
      const issued = await withEdge(flags, ({ administration }) =>
        administration.addAdminKey({ name, role, ...expiresAt }, operatorActor),
      );
      print(flags, issued, () => `${issued.key}\n`);
    });
  addSharedFlags(key.command('list'))
    .description('all keys, without their secrets')
    .action(async (flags: SharedFlags) => {
      const keys = await withEdge(flags, ({ administration }) => administration.adminKeys());
      const rows = keys.map((one) => [one.id, one.name, one.role, whenText(one.expiresAt)]);
      print(flags, keys, () => table([['ID', 'NAME', 'ROLE', 'ENDS'], ...rows]));
    });
  addSharedFlags(key.command('remove'))
    .description('take a key back')
    .argument('<id>', 'as list shows it')
    .action(async (id: string, flags: SharedFlags) => {
      await withEdge(flags, ({ administration }) => administration.removeAdminKey(id, operatorActor));
      print(flags, { id }, () => 'That key works no more.\n');
    });
}

function roleOf(text: string | undefined): AdminRole {
  const role = adminRoles.find((one) => one === text);
  if (role !== undefined) return role;
  throw new CulvertError('bad-usage', {
    text: `There is no role "${text}".`,
    remedy: `Use ${adminRoles.join(', ')}.`,
  });
}
