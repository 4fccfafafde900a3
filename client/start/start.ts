/**
 * `npm start`: shows on this machine what culvert does, proves it with real requests, and takes everything away
 * again, however it ends. Usage: start.ts [--once] [--internet] [--whole-device] [--help]
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import { wordsFor } from '../../shared/core/control/texts.ts';
import type { Demonstration } from './demonstration.ts';
import { ProxyDemonstration } from './proxy-demonstration.ts';
import { type Look, liveLine } from './screen.ts';
import { Steps } from './steps.ts';
import { checkWholeDevice, WholeDeviceDemonstration } from './whole-device-demonstration.ts';

const success = 0;
const failure = 1;
const wrongUsage = 2;
const exitAfterInt = 130;
const exitAfterTerm = 143;
const liveMs = 1000;
const flags = ['--once', '--internet', '--whole-device', '--help'];
const help = `Usage: npm start -- [--once] [--internet] [--whole-device]

Starts an edge and a client on this machine without root, proves with a real request that traffic goes
through the tunnel, shows how to use its proxy, and leaves nothing behind.

  --once           end after the proof instead of going on until Ctrl-C
  --internet       let the edge contact public addresses: its resolvers, and one page as a proof
  --whole-device   as root, in networks of its own: a whole device behind the tunnel
  --help           print this
`;

const isTerminal = process.stdout.isTTY;
const look: Look = { colour: isTerminal && process.env['NO_COLOR'] === undefined };
const print = (text: string): void => void process.stdout.write(text);
const steps = new Steps(look, print);

async function main(words: readonly string[]): Promise<number> {
  const unknown = words.filter((word) => !flags.includes(word));
  if (unknown.length > 0) {
    explain(
      new CulvertError('bad-usage', {
        text: `There is no ${unknown.join(', ')}.`,
        remedy: 'See: npm start -- --help',
      }),
    );
    return wrongUsage;
  }
  if (words.includes('--help')) {
    print(help);
    return success;
  }
  let demonstration: Demonstration;
  try {
    demonstration = choose(words);
  } catch (cause) {
    explain(cause);
    return cause instanceof CulvertError && cause.code === 'bad-usage' ? wrongUsage : failure;
  }
  listenToEnds();
  print(demonstration.headline);
  return show(demonstration, words.includes('--once'));
}

/** Throws CulvertError where the chosen one cannot run here. */
function choose(words: readonly string[]): Demonstration {
  const internet = words.includes('--internet');
  if (!words.includes('--whole-device')) return new ProxyDemonstration({ look, internet });
  if (internet) {
    throw new CulvertError('bad-usage', {
      text: '--whole-device has no way to the Internet.',
      remedy: 'Use one of --internet and --whole-device.',
    });
  }
  checkWholeDevice();
  return new WholeDeviceDemonstration(look);
}

/** Signals; and whoever read our output or started us may be gone: what we built must go all the same. */
function listenToEnds(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => steps.stop(signal));
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => steps.stop('SIGHUP'));
  const parent = process.ppid;
  const watch = (): void => {
    if (process.ppid !== parent) steps.stop('SIGHUP');
  };
  setInterval(watch, liveMs).unref();
}

async function show(demonstration: Demonstration, once: boolean): Promise<number> {
  let code = success;
  let proven = false;
  try {
    if (await demonstration.sweep())
      print('  An earlier demonstration was cut off. It has been cleared away.\n');
    print(await demonstration.play(steps));
    proven = true;
    if (!once) {
      print(demonstration.invitation());
      await live(demonstration);
    }
  } catch (cause) {
    if (steps.stoppedBy === undefined) {
      explain(cause);
      code = failure;
    }
  }
  try {
    await demonstration.clear();
  } catch (cause) {
    explain(cause);
    code = failure;
  }
  if (code === failure) return code;
  print(proven ? demonstration.farewell : '\n  Stopped. All of it is gone again.\n');
  if (proven) return code;
  return steps.stoppedBy === 'SIGINT' ? exitAfterInt : exitAfterTerm;
}

/** Live status until a signal. Where nobody watches, only what changes is written. */
async function live(demonstration: Demonstration): Promise<void> {
  const began = performance.now();
  let shown = '';
  while (steps.stoppedBy === undefined) {
    const status = await demonstration.status();
    const { rxBytes, txBytes } = status.traffic;
    const { heading } = wordsFor(status);
    const seconds = Math.floor((performance.now() - began) / 1000);
    const isConnected = status.state === 'connected';
    const moment = { heading, isConnected, receivedBytes: rxBytes, sentBytes: txBytes, seconds };
    if (isTerminal) print(`\r\u001b[K${liveLine(look, moment)}`);
    else if (heading !== shown) print(`${liveLine(look, moment)}\n`);
    shown = heading;
    await Promise.race([steps.stopped, pause(liveMs)]);
  }
  if (isTerminal) print('\r\u001b[K');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function explain(cause: unknown): void {
  const known = cause instanceof CulvertError;
  const text = cause instanceof Error ? cause.message : String(cause);
  const { code, remedy } = known ? cause : new CulvertError('internal');
  process.stderr.write(`\nculvert: ${text} [${code}]\n  ${remedy}\n`);
}

process.exit(await main(process.argv.slice(2)));
