/** The command tree of culvert-edge and its exit codes: 0 success, 1 failure, 2 wrong usage. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type LogLevel, parseLogLevel } from '../../shared/node/log.ts';
import { askStatus } from '../admin/client.ts';
import { controlSocketName } from '../run-options.ts';
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

interface Flags {
  readonly data?: string;
  readonly config?: string;
  readonly json?: boolean;
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
  line.command
    .description('The edge of culvert: lets the devices that you trust out to the Internet.')
    .version(parts.version, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .exitOverride();
  addOptions(
    line.command.command('run').description('run the edge in the foreground until SIGINT or SIGTERM'),
  )
    .option('--config <FILE>', 'the configuration (default: edge.yaml in the data directory)')
    .option('--log-level <LEVEL>', 'debug, info, warn, error or silent', 'info')
    .action(async (flags: Flags) => {
      line.exitCode = await parts.run(runWords(flags, parts.version));
    });
  addOptions(
    line.command.command('status').description('show the devices and paths of a running edge'),
  ).action(async (flags: Flags) => {
    const status = await askStatus(join(dataFolder(flags), controlSocketName));
    process.stdout.write(flags.json === true ? `${JSON.stringify(status, null, 2)}\n` : statusText(status));
  });
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
  const known = cause instanceof CulvertError ? cause : new CulvertError('internal', { cause });
  const detail =
    cause instanceof CulvertError ? '' : `\n${cause instanceof Error ? cause.stack : String(cause)}`;
  const { code, message, remedy } = known;
  if (json) return `${JSON.stringify({ code, text: message + detail, remedy })}\n`;
  return `culvert-edge: ${message}${detail}\n  ${remedy} [${code}]\n`;
}

function addOptions(command: Command): Command {
  return command
    .option('--data <DIR>', 'keys, journal and control socket', defaultDataFolder())
    .option('--json', 'data and errors as JSON')
    .helpOption('--help', 'print this help')
    .exitOverride();
}

function runWords(flags: Flags, version: string): RunWords {
  const folder = dataFolder(flags);
  const logLevel = parseLogLevel(flags.logLevel);
  if (logLevel === undefined) {
    throw new CulvertError('bad-usage', {
      text: `There is no log level "${flags.logLevel}".`,
      remedy: 'Use debug, info, warn, error or silent.',
    });
  }
  const configPath = flags.config === undefined ? join(folder, 'edge.yaml') : resolve(flags.config);
  return { dataFolder: folder, configPath, logLevel, version };
}

function dataFolder(flags: Flags): string {
  return resolve(flags.data ?? defaultDataFolder());
}

function defaultDataFolder(): string {
  return process.getuid?.() === 0 ? '/var/lib/culvert-edge' : join(homedir(), '.local/share/culvert-edge');
}
