/**
 * The command tree and the exit codes: 0 success, 1 failure with a sentence, a code and a remedy, 2
 * wrong usage (product.md §5). No command does its work here.
 */

import { Command, CommanderError } from 'commander';
import type { ApiError } from '../../shared/core/control/api.ts';
import { CulvertError, type ErrorCode } from '../../shared/core/control/codes.ts';
import { problemOf } from '../driver/effects.ts';
import { culvertVersion } from '../version.ts';
import { addAccount } from './commands/account.ts';
import { addCompletions } from './commands/completions.ts';
import { addConnect } from './commands/connect.ts';
import { addDiag } from './commands/diag.ts';
import { addDisconnect } from './commands/disconnect.ts';
import { addDns } from './commands/dns.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEdges } from './commands/edges.ts';
import { addEnroll } from './commands/enroll.ts';
import { addExec } from './commands/exec.ts';
import { addFeedback } from './commands/feedback.ts';
import { addGuardian } from './commands/guardian.ts';
import { addService } from './commands/install-unit.ts';
import { addLab } from './commands/lab.ts';
import { addLan } from './commands/lan.ts';
import { addLogs } from './commands/logs.ts';
import { addMode } from './commands/mode.ts';
import { addNetcheck } from './commands/netcheck.ts';
import { addPath } from './commands/path.ts';
import { addPause } from './commands/pause.ts';
import { addPortal } from './commands/portal.ts';
import { addProxy } from './commands/proxy.ts';
import { addRegistration } from './commands/registration.ts';
import { addRestore } from './commands/restore.ts';
import { addRoute } from './commands/route.ts';
import { addDaemon } from './commands/run-daemon.ts';
import { addSettings } from './commands/settings.ts';
import { addStatus } from './commands/status.ts';
import { addTrusted } from './commands/trusted.ts';
import { addTunnel } from './commands/tunnel.ts';
import { addUi } from './commands/ui.ts';
import type { CliContext } from './context.ts';

const exitFailure = 1;
const exitUsage = 2;
/** As a shell would exit for `culvert exec -- COMMAND`. */
const commandExits: Partial<Record<ErrorCode, number>> = {
  'command-not-executable': 126,
  'command-not-found': 127,
};

/** Runs one command line (without program and script). Returns the exit code; never throws. */
export async function runCli(words: readonly string[], context: CliContext): Promise<number> {
  const json = ownWords(words).includes('--json');
  const program = buildProgram(context, json);
  if (words.length === 0) {
    context.note(program.helpInformation().trimEnd());
    return exitUsage;
  }
  try {
    await program.parseAsync([...words], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error, context, json);
    if (error instanceof CulvertError && error.code === 'bad-usage') {
      complain(apiErrorOf(error), context, json);
      return exitUsage;
    }
    complain(apiErrorOf(error), context, json);
    return error instanceof CulvertError ? (commandExits[error.code] ?? exitFailure) : exitFailure;
  }
}

/** What stands behind -- belongs to another program. */
function ownWords(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end < 0 ? words : words.slice(0, end);
}

function buildProgram(context: CliContext, json: boolean): Command {
  const program = new Command('culvert');
  program
    .description('Your own private tunnel: the client.')
    .version(culvertVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      // With --json the whole error is one object; it is printed at the end.
      writeErr: (text) => {
        if (!json) context.note(text.trimEnd());
      },
    })
    .exitOverride();
  addConnect(program, context);
  addDisconnect(program, context);
  addPause(program, context);
  addTrusted(program, context);
  addStatus(program, context);
  addMode(program, context);
  addDns(program, context);
  addPath(program, context);
  addPortal(program, context);
  addProxy(program, context);
  addEnroll(program, context);
  addRegistration(program, context);
  addFeedback(program, context);
  addEdges(program, context);
  addSettings(program, context);
  addTunnel(program, context);
  addLan(program, context);
  addLab(program, context);
  addRoute(program, context);
  addNetcheck(program, context);
  addDoctor(program, context);
  addDiag(program, context);
  addExec(program, context);
  addLogs(program, context);
  addUi(program);
  addDaemon(program, context);
  addService(program, context);
  addAccount(program, context);
  addGuardian(program, context);
  addRestore(program, context);
  addCompletions(program, context);
  return program;
}

function usageExit(error: CommanderError, context: CliContext, json: boolean): number {
  if (error.exitCode === 0) return 0;
  if (json) {
    const { remedy } = new CulvertError('bad-usage');
    const text =
      error.code === 'commander.help' ? 'A command is missing.' : error.message.replace(/^error: /, '');
    complain({ code: 'bad-usage', text, remedy }, context, true);
  } else if (error.code !== 'commander.help') {
    context.note('See: culvert --help');
  }
  return exitUsage;
}

function complain(error: ApiError, context: CliContext, json: boolean): void {
  if (json) context.note(JSON.stringify(error));
  else context.note(`culvert: ${error.text} [${error.code}]\n${error.remedy}`);
}

function apiErrorOf(error: unknown): ApiError {
  const { code, text, remedy } = problemOf(error);
  return { code, text, remedy };
}
