/** `culvert lab`: a bad network built of namespaces, with a real edge and a real client in it. */

import { readFileSync, writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { type Mode, modes, parseMode, wholeDeviceModes } from '../../../shared/core/control/status.ts';
import { endText, lineText, listText } from '../../lab/lab-text.ts';
import { checkLabNeeds } from '../../lab/needs.ts';
import {
  type LabNetwork,
  labNetworks,
  maxSeed,
  networkNamed,
  parseTrace,
  withSeed,
} from '../../lab/networks.ts';
import { LabStage } from '../../lab/stage.ts';
import { type Story, StoryTeller } from '../../lab/story.ts';
import { comparisonText, differences, traceText } from '../../lab/trace.ts';
import type { CliContext } from '../context.ts';
import { durationFlag } from '../flags.ts';

interface LabFlags {
  readonly json?: boolean;
  readonly mode?: string;
  readonly trace?: string;
  readonly record?: string;
  readonly stay?: boolean;
  readonly seed?: number;
  /** Milliseconds. */
  readonly patience: number;
}

const defaultPatienceMs = 30_000;
const commandTimeoutMs = 600_000;

export function addLab(program: Command, context: CliContext): void {
  program
    .command('lab')
    .usage('[NAME] [options] [-- COMMAND…]')
    .argument('[words...]', 'a network, and after -- a program to run in it')
    .option('--json', 'print JSON; errors are JSON on standard error')
    .option('--socket <path>', 'not used: the lab has a daemon of its own')
    .option('--mode <mode>', 'of the client (default: tunnel)')
    .option('--trace <file>', 'play what a file says instead of a network of the list')
    .option('--record <file>', 'write down what happened, for --trace to play again')
    .option(
      '--seed <n>',
      'which packets are lost where some are; the same ones for the same number',
      seedFlag,
    )
    .option('--stay', 'go on until Ctrl-C once the story is told')
    .option('--patience <duration>', 'how long a page is waited for', durationFlag, defaultPatienceMs)
    .description('try culvert in bad networks; needs root')
    .action(async (words: readonly string[], flags: LabFlags) => {
      const name = flags.trace === undefined ? words[0] : undefined;
      const command = flags.trace === undefined ? words.slice(1) : words;
      if (name === undefined && flags.trace === undefined) {
        context.print(flags.json === true ? JSON.stringify(labNetworks) : listText(labNetworks));
        return;
      }
      const found = flags.trace === undefined ? networkNamed(name ?? '') : readTrace(flags.trace);
      const network = flags.seed === undefined ? found : withSeed(found, flags.seed);
      const mode = labMode(flags.mode ?? network.saw?.mode ?? 'tunnel');
      checkLabNeeds({
        what: 'The lab',
        asRoot: `Run: sudo culvert lab ${name ?? `--trace ${flags.trace}`}`,
        elsewhere: 'Run it on a Linux machine.',
      });
      await play({ network, mode, command, flags }, context);
    });
}

function seedFlag(text: string): number {
  const seed = /^\d{1,10}$/.test(text) ? Number(text) : maxSeed + 1;
  if (seed > maxSeed) throw new InvalidArgumentError(`Write a whole number from 0 to ${maxSeed}.`);
  return seed;
}

interface Play {
  readonly network: LabNetwork;
  readonly mode: Mode;
  readonly command: readonly string[];
  readonly flags: LabFlags;
}

async function play({ network, mode, command, flags }: Play, context: CliContext): Promise<void> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const say = flags.json === true ? (): void => undefined : context.print;
  say(`${network.name}: ${network.sentence}`);
  const building = LabStage.build(mode);
  try {
    const stage = await building;
    await unless(stopping.signal, stage.start());
    const teller = new StoryTeller(stage, network, {
      patienceMs: flags.patience,
      onLine: (line) => say(lineText(line)),
      signal: stopping.signal,
    });
    const story = await unless(stopping.signal, teller.play());
    if (flags.record !== undefined) record(flags.record, traceText(network, story));
    const different = network.saw === undefined ? undefined : differences(network.saw, story);
    const compared = different === undefined ? {} : { different };
    context.print(flags.json === true ? JSON.stringify({ ...story, ...compared }) : endText(story));
    if (different !== undefined) say(comparisonText(different));
    if (command.length > 0) await runInside(stage, command, context);
    if (flags.stay === true) await stay(stage, stopping.signal, say);
    mustBePrivate(story);
  } catch (cause) {
    if (!stopping.signal.aborted) throw cause;
    say('Stopped.');
  } finally {
    const stage = await building.catch(() => undefined);
    await stage?.clear();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
}

async function runInside(stage: LabStage, command: readonly string[], context: CliContext): Promise<void> {
  const [program = '', ...rest] = command;
  const result = await stage.world.laptop.run(program, rest, {
    allowFailure: true,
    timeoutMs: commandTimeoutMs,
    env: { CULVERT_LAB_SOCKET: stage.socket },
  });
  if (result.stdout !== '') context.print(result.stdout.trimEnd());
  if (result.stderr !== '') context.note(result.stderr.trimEnd());
  if (result.exitCode === 0) return;
  throw new CulvertError('command-failed', { text: `${program} ended with exit code ${result.exitCode}.` });
}

async function stay(stage: LabStage, signal: AbortSignal, say: (text: string) => void): Promise<void> {
  say(`Look around: ip netns exec ${stage.world.laptop.namespace} culvert status --socket ${stage.socket}`);
  say('Ctrl-C takes it all away.');
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** The lab's own promise. */
function mustBePrivate({ outside }: Story): void {
  if (outside === 0) return;
  throw new CulvertError('internal', { text: `${outside} pages of the lab came past the tunnel.` });
}

async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  // What fails once nobody waits any more is not told again.
  work.catch(() => undefined);
  let stop: (() => void) | undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = (): void => reject(new CulvertError('command-failed', { text: 'Stopped.' }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}

function readTrace(path: string): LabNetwork {
  try {
    return parseTrace(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof CulvertError) throw cause;
    throw new CulvertError('bad-usage', { text: `The trace ${path} cannot be read.`, cause });
  }
}

function record(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new CulvertError('bad-usage', { text: `The trace ${path} cannot be written.`, cause });
  }
}

function labMode(text: string): Mode {
  const mode = parseMode(text);
  if (mode !== undefined && (mode === 'proxy' || wholeDeviceModes.includes(mode))) return mode;
  const known = modes.filter((one) => one === 'proxy' || wholeDeviceModes.includes(one));
  throw new CulvertError('bad-usage', {
    text: `${text} is no mode with a tunnel.`,
    remedy: `One of: ${known.join(', ')}`,
  });
}
