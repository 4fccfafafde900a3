/** `culvert-edge feedback`: what devices wrote to whoever runs the edge. */

import type { Command } from 'commander';
import type { FeedbackView } from '../../../shared/core/registration/feedback-api.ts';
import { operatorActor } from '../../registration/administration.ts';
import { table } from '../amounts.ts';
import { addSharedFlags, print, type SharedFlags, withEdge } from '../place.ts';

const shownLetters = 60;

export function addFeedback(program: Command): void {
  const feedback = addSharedFlags(program.command('feedback'))
    .description('what devices wrote to you; the newest first')
    .action((flags: SharedFlags) => list(flags));
  addSharedFlags(feedback.command('list'))
    .description('all of it, without diagnostics')
    .action((_: unknown, command: Command) => list(command.optsWithGlobals<SharedFlags>()));
  addSharedFlags(feedback.command('show'))
    .description('one of them, whole')
    .argument('<id>', 'as list shows it')
    .action(async (id: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<SharedFlags>();
      const found = await withEdge(flags, (edge) => edge.feedback.show(id));
      print(flags, found, () => wholeText(found));
    });
  addSharedFlags(feedback.command('remove'))
    .description('forget one of them')
    .argument('<id>', 'as list shows it')
    .action(async (id: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<SharedFlags>();
      await withEdge(flags, (edge) => edge.feedback.remove(id, operatorActor));
      print(flags, { id }, () => 'It is forgotten.\n');
    });
}

async function list(flags: SharedFlags): Promise<void> {
  const { feedback } = await withEdge(flags, (edge) => edge.feedback.list());
  const rows = feedback.map((one) => [one.id, timeOf(one), one.name, short(clean(one.words))]);
  print(flags, feedback, () =>
    rows.length === 0 ? 'Nobody wrote anything.\n' : table([['ID', 'TIME', 'FROM', 'WORDS'], ...rows]),
  );
}

function wholeText(one: FeedbackView): string {
  const head = `${timeOf(one)}  ${one.name}\n\n${cleanLines(one.words)}\n`;
  return one.diagnostics === undefined
    ? head
    : `${head}\n--- diagnosis ---\n${cleanLines(one.diagnostics)}\n`;
}

function timeOf({ at }: FeedbackView): string {
  return at.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

function short(text: string): string {
  return text.length <= shownLetters ? text : `${text.slice(0, shownLetters - 1)}…`;
}

/** Words from outside go to a terminal. */
function clean(text: string): string {
  return text.replaceAll(/\p{C}/gu, ' ');
}

function cleanLines(text: string): string {
  return text.split('\n').map(clean).join('\n').trimEnd();
}
