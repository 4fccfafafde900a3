/** `culvert dns`: filters, upstreams, names of the network, tests and numbers of private DNS. */

import type { Command } from 'commander';
import type { SettingsPatch } from '../../../shared/core/control/api.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { fallbackOf, families, formatFallback, itemsOf } from '../../settings/dns-settings.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderDnsReport, renderDnsTest } from '../render-dns.ts';

interface FallbackFlags extends SharedFlags {
  readonly via: string;
}

interface TestFlags extends SharedFlags {
  readonly type?: string;
}

export function addDns(program: Command, context: CliContext): void {
  const dns = program.command('dns').description('private DNS: filters, resolvers, names of the network');
  addFilters(dns, context);
  addFallback(dns, context);
  addLooks(dns, context);
}

function addFilters(dns: Command, context: CliContext): void {
  const filter = dns
    .command('families')
    .argument('<filter>', 'off, malware, or full (malware and adult content)')
    .description('filter names, as 1.1.1.1 for Families does')
    .action(async (wanted: string, flags: SharedFlags) => {
      if (!families.some((family) => family === wanted)) {
        throw new CulvertError('bad-usage', {
          text: `There is no filter named '${wanted}'.`,
          remedy: `Choose one: ${families.join(', ')}`,
        });
      }
      await change({ 'dns.families': wanted }, context, flags);
    });
  const upstream = dns
    .command('upstream')
    .argument('[url...]', 'https://…, tls://… or addresses; none: 1.1.1.1 again')
    .description('choose who is asked for names')
    .action(async (urls: readonly string[], flags: SharedFlags) => {
      await change({ 'dns.upstreams': urls.length === 0 ? null : urls.join(',') }, context, flags);
    });
  for (const command of [filter, upstream]) withSharedFlags(command);
}

function addFallback(dns: Command, context: CliContext): void {
  const fallback = dns.command('fallback').description("names that the network's own resolver answers");
  const add = fallback
    .command('add')
    .argument('<name>', 'covers itself and everything below')
    .argument('[server...]', 'addresses to ask; none: those of the network')
    .option('--via <way>', 'network, or tunnel', 'network')
    .description('add a name')
    .action(async (name: string, servers: readonly string[], flags: FallbackFlags) => {
      const asked = servers.length === 0 ? '' : `=${servers.join('+')}`;
      const rule = fallbackOf(`${name}${asked}@${flags.via}`);
      if (rule === undefined) {
        throw new CulvertError('bad-usage', {
          text: 'That is no name with numeric servers and a way.',
          remedy: 'For example: culvert dns fallback add office.example 192.168.1.1 --via network',
        });
      }
      const others = (await fallbacks(context, flags)).filter((item) => fallbackOf(item)?.name !== rule.name);
      await change({ 'dns.fallback': [...others, formatFallback(rule)].join(',') }, context, flags);
    });
  const remove = fallback
    .command('remove')
    .argument('<name>')
    .description('remove a name')
    .action(async (name: string, flags: SharedFlags) => {
      const wanted = fallbackOf(name)?.name;
      const all = await fallbacks(context, flags);
      const kept = all.filter((item) => fallbackOf(item)?.name !== wanted);
      if (kept.length === all.length) {
        throw new CulvertError('unknown-name', { text: `'${name}' is not among the names of the network.` });
      }
      await change({ 'dns.fallback': kept.length === 0 ? null : kept.join(',') }, context, flags);
    });
  const list = fallback
    .command('list')
    .description('the names that were added')
    .action(async (flags: SharedFlags) => {
      const rules = (await fallbacks(context, flags)).flatMap((item) => fallbackOf(item) ?? []);
      if (flags.json === true) context.print(JSON.stringify(rules));
      else if (rules.length === 0)
        context.print('None were added. Endings like .lan and .home.arpa always are.');
      else context.print(rules.map(formatFallback).join('\n'));
    });
  for (const command of [add, remove, list]) withSharedFlags(command);
}

function addLooks(dns: Command, context: CliContext): void {
  const test = dns
    .command('test')
    .argument('<name>')
    .option('--type <type>', 'type of record (default: A and AAAA)')
    .description('look a name up and show which way its answer took')
    .action(async (name: string, flags: TestFlags) => {
      const client = await findDaemon(context, flags);
      const request = flags.type === undefined ? { name } : { name, type: flags.type };
      const result = await client.call('testName', request);
      context.print(flags.json === true ? JSON.stringify(result) : renderDnsTest(result));
    });
  const stats = dns
    .command('stats')
    .description('answers, cache and resolvers in numbers')
    .action(async (flags: SharedFlags) => {
      const report = await (await findDaemon(context, flags)).call('dns');
      context.print(flags.json === true ? JSON.stringify(report) : renderDnsReport(report));
    });
  const log = dns
    .command('log')
    .argument('[switch]', 'on, or off, which forgets it; none: show it')
    .description('the last names that were looked up; off unless you turn it on, never on disk')
    .action(async (wanted: string | undefined, flags: SharedFlags) => {
      if (wanted !== undefined) {
        await change({ 'dns.queryLog': wanted }, context, flags);
        return;
      }
      const { queries } = await (await findDaemon(context, flags)).call('dns');
      if (flags.json === true) context.print(JSON.stringify(queries));
      else if (queries.length === 0) context.print('No names are kept. Turn the log on: culvert dns log on');
      else
        context.print(queries.map((one) => `${one.at}  ${one.type}  ${one.name}  ${one.origin}`).join('\n'));
    });
  for (const command of [test, stats, log]) withSharedFlags(command);
}

async function change(patch: SettingsPatch, context: CliContext, flags: SharedFlags): Promise<void> {
  const client = await findDaemon(context, flags);
  const settings = await client.call('changeSettings', patch);
  const changed = settings.filter((entry) => Object.hasOwn(patch, entry.name));
  if (flags.json === true) context.print(JSON.stringify(changed));
  else context.print(changed.map((entry) => `${entry.name} = ${String(entry.value)}`).join('\n'));
}

async function fallbacks(context: CliContext, flags: SharedFlags): Promise<readonly string[]> {
  const settings = await (await findDaemon(context, flags)).call('settings');
  const value = settings.find((entry) => entry.name === 'dns.fallback')?.value;
  return itemsOf(String(value ?? ''));
}
