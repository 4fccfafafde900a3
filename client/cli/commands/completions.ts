/** `culvert completions`: prints a script that completes our words in a shell. */

import { Argument, type Command } from 'commander';
import { type CommandWords, completionScript, type Shell, shells } from '../completion-scripts.ts';
import type { CliContext } from '../context.ts';

/** Add it last: it knows the commands that were added before. */
export function addCompletions(program: Command, context: CliContext): void {
  program
    .command('completions')
    .addArgument(new Argument('<shell>', 'the shell that shall complete our words').choices(shells))
    .option('--json', 'not used: what is printed is a script')
    .option('--socket <path>', 'not used: no daemon is asked')
    .description('print a script that completes the words of culvert in a shell')
    .action((shell: Shell) => context.print(completionScript(shell, wordsOf(program))));
}

function wordsOf(command: Command): CommandWords {
  return {
    name: command.name(),
    text: command.description(),
    options: command.options.flatMap((option) => option.long ?? []),
    children: command.createHelp().visibleCommands(command).map(wordsOf),
  };
}
