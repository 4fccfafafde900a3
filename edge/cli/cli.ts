/** The command tree of culvert-edge and its exit codes: 0 success, 1 failure, 2 wrong usage. */

import { Command, CommanderError } from 'commander';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type LogLevel, parseLogLevel } from '../../shared/node/log.ts';
import { askReload, askStatus } from '../admin/client.ts';
import { addDevice } from './commands/device.ts';
import { addDoctor } from './commands/doctor.ts';
import { addFeedback } from './commands/feedback.ts';
import { addInit } from './commands/init.ts';
import { addInvite } from './commands/invite.ts';
import { addKeeping } from './commands/keeping.ts';
import { addPath } from './commands/path.ts';
import { addRecords } from './commands/records.ts';
import { addSharedFlags, configPath, controlSocket, dataFolder, print, type SharedFlags } from './place.ts';
import { statusText } from './render.ts';

export interface RunWords {
  readonly dataFolder: string;
  readonly configPath: string;
  readonly logLevel: LogLevel;
  readonly version: string;
}

export interface CommandParts {
  readonly version: string;
  /** Runs an edge until it is told to end; returns the exit code. */
  readonly run: (words: RunWords) => Promise<number>;
}

interface RunFlags extends SharedFlags {
  readonly logLevel?: string;
}

export interface CommandLine {
  readonly command: Command;
  /** Set by the command that ran. */
  exitCode: number;
}

const success = 0;
const failure = 1;
const wrongUsage = 2;

export function buildCommandLine(parts: CommandParts): CommandLine {
  const line: CommandLine = { command: new Command('culvert-edge'), exitCode: success };
  const { command } = line;
  command
    .description('The edge of culvert: lets the devices that you trust out to the Internet.')
    .version(parts.version, '--version', 'print the version')
    .helpOption('--help', 'print this help');
  addInit(command);
  addSharedFlags(command.command('run'))
    .description('run the edge in the foreground until SIGINT or SIGTERM')
    .option('--config <FILE>', 'the configuration (default: edge.yaml in the data directory)')
    .option('--log-level <LEVEL>', 'debug, info, warn, error or silent', 'info')
    .action(async (flags: RunFlags) => {
      line.exitCode = await parts.run(runWords(flags, parts.version));
    });
  addSharedFlags(command.command('reload'))
    .description('make a running edge read edge.yaml again; no tunnel is dropped')
    .action(async (flags: SharedFlags) => {
      await askReload(controlSocket(flags));
      print(flags, {}, () => 'Reloaded.\n');
    });
  addSharedFlags(command.command('status'))
    .description('show the devices and paths of a running edge')
    .action(async (flags: SharedFlags) => {
      const status = await askStatus(controlSocket(flags));
      print(flags, status, () => statusText(status));
    });
  addDoctor(command, (code) => {
    line.exitCode = code;
  });
  addInvite(command);
  addDevice(command);
  addPath(command);
  addRecords(command);
  addFeedback(command);
  addKeeping(command);
  throwInstead(command);
  return line;
}

/** Runs the line and returns the exit code. Errors go to standard error, as JSON where --json is given. */
export async function runCommandLine(line: CommandLine, words: readonly string[]): Promise<number> {
  try {
    if (words.length === 0) {
      line.command.outputHelp({ error: true });
      return wrongUsage;
    }
    await line.command.parseAsync(words, { from: 'user' });
    return line.exitCode;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? success : wrongUsage;
    process.stderr.write(errorText(cause, words.includes('--json')));
    return cause instanceof CulvertError && cause.code === 'bad-usage' ? wrongUsage : failure;
  }
}

/** One sentence, the stable code, and what to do. */
export function errorText(cause: unknown, json: boolean): string {
  const known = diskProblem(cause) ?? new CulvertError('internal', { cause });
  const detail =
    known.code !== 'internal' || cause instanceof CulvertError
      ? ''
      : `\n${cause instanceof Error ? cause.stack : String(cause)}`;
  const { code, message, remedy } = known;
  if (json) return `${JSON.stringify({ code, text: message + detail, remedy })}\n`;
  return `culvert-edge: ${message}${detail}\n  ${remedy} [${code}]\n`;
}

/** Undefined for a bug. A disk has its own words wherever a file could not be written. */
function diskProblem(cause: unknown): CulvertError | undefined {
  if (cause instanceof CulvertError && !isDiskFull(cause.cause)) return cause;
  const isFull = isDiskFull(cause) || (cause instanceof Error && isDiskFull(cause.cause));
  return isFull ? new CulvertError('store-full', { cause }) : undefined;
}

function isDiskFull(cause: unknown): boolean {
  const { code } = (cause ?? {}) as { code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Commander would end the process, of each command by itself. */
function throwInstead(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInstead(child);
}

function runWords(flags: RunFlags, version: string): RunWords {
  const logLevel = parseLogLevel(flags.logLevel);
  if (logLevel === undefined) {
    throw new CulvertError('bad-usage', {
      text: `There is no log level "${flags.logLevel}".`,
      remedy: 'Use debug, info, warn, error or silent.',
    });
  }
  return { dataFolder: dataFolder(flags), configPath: configPath(flags), logLevel, version };
}
