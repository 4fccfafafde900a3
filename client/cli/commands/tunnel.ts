/** `culvert tunnel`: what goes through the tunnel and what around it. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { SplitList } from '../../../shared/core/control/split-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface RuleFlags extends SharedFlags {
  readonly mode: 'exclude' | 'include';
}

export function addTunnel(program: Command, context: CliContext): void {
  const tunnel = program
    .command('tunnel')
    .description('what goes through the tunnel and what around it: addresses, names, programs');
  const show = async (list: SplitList, flags: SharedFlags): Promise<void> =>
    context.print(flags.json === true ? JSON.stringify(list) : renderList(list));
  const list = tunnel
    .command('list')
    .description('the whole list')
    .action(async (flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('split'), flags),
    );
  withSharedFlags(list);
  addRules(tunnel, context, show, { kind: 'ip', word: '<address>', text: 'addresses, as 10.0.0.0/8' });
  const names = 'names: example.com, or *.example.com for those below it';
  addRules(tunnel, context, show, { kind: 'host', word: '<name>', text: names });
  addPrograms(tunnel, context, show);
}

type Show = (list: SplitList, flags: SharedFlags) => Promise<void>;

interface Kind {
  readonly kind: 'ip' | 'host';
  readonly word: string;
  readonly text: string;
}

function addRules(tunnel: Command, context: CliContext, show: Show, { kind, word, text }: Kind): void {
  const group = tunnel.command(kind).description(text);
  for (const verb of ['add', 'remove'] as const) {
    const command = group
      .command(verb)
      .argument(word, text)
      .addOption(
        new Option('--mode <mode>', 'exclude: around the tunnel; include: only what is included goes through')
          .choices(['exclude', 'include'])
          .default('exclude'),
      )
      .description(verb === 'add' ? 'add a rule, or change its mode' : 'take a rule away')
      .action(async (target: string, { mode, ...flags }: RuleFlags) => {
        const client = await findDaemon(context, flags);
        const name = verb === 'add' ? 'addSplitRule' : 'removeSplitRule';
        await show(await client.call(name, { kind, target, mode }), flags);
      });
    withSharedFlags(command);
  }
  const list = group
    .command('list')
    .description('the rules of this kind')
    .action(async (flags: SharedFlags) => {
      const all = await (await findDaemon(context, flags)).call('split');
      await show({ ...all, rules: all.rules.filter((rule) => rule.kind === kind) }, flags);
    });
  withSharedFlags(list);
}

/** Programs that run already, and what they start; a new one starts inside with `culvert exec`. */
function addPrograms(tunnel: Command, context: CliContext, show: Show): void {
  const group = tunnel.command('program').description('running programs that go around the tunnel');
  for (const verb of ['add', 'remove'] as const) {
    const command = group
      .command(verb)
      .argument('<pid>', 'number of the process', processId)
      .description(
        verb === 'add'
          ? 'send it, and what it starts from now on, around the tunnel'
          : 'send it through the tunnel again',
      )
      .action(async (pid: number, flags: SharedFlags) => {
        const client = await findDaemon(context, flags);
        await show(await client.call('splitProgram', { pid, outside: verb === 'add' }), flags);
      });
    withSharedFlags(command);
  }
  const list = group
    .command('list')
    .description('the programs that go around the tunnel now')
    .action(async (flags: SharedFlags) => {
      const all = await (await findDaemon(context, flags)).call('split');
      await show({ ...all, rules: all.rules.filter((rule) => rule.kind === 'program') }, flags);
    });
  withSharedFlags(list);
}

function processId(text: string): number {
  const pid = Number(text);
  if (!Number.isInteger(pid) || pid < 1) throw new InvalidArgumentError('It is a number, as pgrep tells it.');
  return pid;
}

function renderList({ rules, includeOnly, notes }: SplitList): string {
  const first = includeOnly
    ? 'Only what is included goes through the tunnel.'
    : rules.length === 0
      ? 'Everything goes through the tunnel.'
      : 'Everything goes through the tunnel, except:';
  const lines = rules.map(({ mode, kind, target, addresses = [] }) => {
    const known =
      addresses.length === 0
        ? ''
        : `   (${addresses.slice(0, 4).join(', ')}${addresses.length > 4 ? ', …' : ''})`;
    return `  ${mode} ${kind} ${target}${known}`;
  });
  return [first, ...lines, ...notes].join('\n');
}
