/**
 * `npm start`: a demonstration on this machine alone. Builds three hosts, connects the real client through
 * the real edge, proves it with real pages, and takes everything away again, however it ends.
 * Usage: start.ts [--once] [--internet]
 */

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { wordsFor } from '../../shared/core/control/texts.ts';
import { labAddresses, sweepDeadLabs } from '../../shared/node/lab/topology.ts';
import * as screen from './screen.ts';
import { clientAddress, type Page, pageV4, pageV6, Stage } from './stage.ts';

const success = 0;
const failure = 1;
const wrongUsage = 2;
const liveMs = 1000;
const flags = ['--once', '--internet'];
const packages: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables' };
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

const look: screen.Look = { colour: process.stdout.isTTY && process.env['NO_COLOR'] === undefined };
const print = (text: string): void => void process.stdout.write(text);

/** Thrown between steps once a signal has come. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const stopping = new AbortController();
let stoppedBy: NodeJS.Signals | undefined;
/** Resolves once a signal has come. */
const stopped = new Promise<void>((resolve) => {
  stopping.signal.addEventListener('abort', () => resolve());
});

async function main(words: readonly string[]): Promise<number> {
  const unknown = words.filter((word) => !flags.includes(word));
  if (unknown.length > 0) {
    process.stderr.write(
      `culvert: there is no ${unknown.join(', ')}. Use: npm start -- [--once] [--internet]\n`,
    );
    return wrongUsage;
  }
  const missing = whatIsMissing();
  if (missing !== undefined) {
    process.stderr.write(`culvert: ${missing}\n`);
    return failure;
  }
  listenToSignals();
  print(screen.headline(look));
  if (words.includes('--internet'))
    print('  --internet changes nothing yet: this demonstration stays on this machine.\n\n');
  return demonstrate(!words.includes('--once') && process.stdout.isTTY);
}

/** One sentence, or undefined where the demonstration can run here. */
function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux') {
    return 'this demonstration needs Linux for now. A later version runs here too, without root.';
  }
  if (process.getuid?.() !== 0) {
    return 'this demonstration needs root for now, to build its networks: sudo npm start. A later version will not.';
  }
  if (!existsSync('/dev/net/tun'))
    return '/dev/net/tun is missing: modprobe tun (in a container: --device /dev/net/tun).';
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders];
  const absent = Object.keys(packages).filter(
    (name) => !folders.some((folder) => existsSync(join(folder, name))),
  );
  if (absent.length === 0) return undefined;
  const names = absent.map((name) => packages[name] ?? name).join(' ');
  return `${absent.join(' and ')} must be installed first: apt install ${names}`;
}

function listenToSignals(): void {
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy ??= signal;
    stopping.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  // Whoever read our output may be gone; what we built must go all the same.
  process.stdout.on('error', () => stop('SIGHUP'));
}

async function demonstrate(live: boolean): Promise<number> {
  let stage: Stage | undefined;
  let code = success;
  let proven = false;
  try {
    const swept = await sweepDeadLabs();
    if (swept > 0) print('  An earlier demonstration was cut off. It has been cleared away.\n');
    stage = await build();
    const found = await play(stage);
    print(screen.picture(look, found));
    print(screen.proof(look, found));
    proven = true;
    if (live) await watch(stage);
  } catch (cause) {
    if (stoppedBy === undefined) {
      explain(cause);
      code = failure;
    }
  }
  try {
    await stage?.clear();
  } catch (cause) {
    explain(cause);
    code = failure;
  }
  if (code === failure) return code;
  print(proven ? screen.farewell(look) : '\n  Stopped. All of it is gone again.\n');
  if (proven || stoppedBy === undefined) return code;
  return stoppedBy === 'SIGINT' ? 130 : 143;
}

/** Takes a second and is never left half way: what is being built could not be taken away. */
async function build(): Promise<Stage> {
  let built: Promise<Stage> | undefined;
  try {
    return await step('three computers, and a wire between each two', () => (built = Stage.build()));
  } catch (cause) {
    await (await built)?.clear();
    throw cause;
  }
}

/** The acts, one line each. */
async function play(stage: Stage): Promise<screen.Findings> {
  await step('before: you cannot reach the web server', async () => {
    await stage.startWeb();
    for (const url of [pageV4, pageV6]) {
      const page = await stage.visit(url);
      if (page.ok)
        throw new CulvertError('internal', { text: `A page came through without a tunnel: ${url}` });
    }
  });
  await step('your edge is ready            culvert-edge run', () => stage.startEdge());
  await step('your client knows the edge    culvert import demo.conf', () => stage.startClient());
  const began = performance.now();
  await step('you are connected             culvert connect', () => stage.connect());
  const connectMs = performance.now() - began;
  const v4 = await step('a page over IPv4', () => mustLoad(stage, pageV4, labAddresses.upstream), loadMs);
  const v6 = await step('a page over IPv6', () => mustLoad(stage, pageV6, labAddresses.upstreamV6), loadMs);
  const measured = await step('three seconds of traffic, as fast as it goes', () => stage.measure());
  const counted = await count(stage);
  return {
    ...measured,
    ...counted,
    connectMs,
    clientAddress,
    webAddress: labAddresses.inet,
    seenV4: v4.from ?? '',
    seenV6: v6.from ?? '',
  };
}

const loadMs = (page: Page): number => page.ms ?? 0;

async function mustLoad(stage: Stage, url: string, expected: string): Promise<Page> {
  const page = await stage.visit(url);
  if (!page.ok)
    throw new CulvertError('no-reply', { text: `The page ${url} did not load: ${page.why ?? ''}` });
  if (page.from !== expected) {
    throw new CulvertError('internal', {
      text: `The web server saw ${page.from}, not the edge's ${expected}.`,
    });
  }
  return page;
}

type Counted = Pick<
  screen.Findings,
  'sentBytes' | 'receivedBytes' | 'edgeReceivedBytes' | 'edgeSentBytes' | 'path' | 'handshakeMs'
>;

/** Both ends are asked at the same moment, after the traffic. */
async function count(stage: Stage): Promise<Counted> {
  const [{ traffic, verified }, edge] = await Promise.all([stage.status(), stage.edgeView()]);
  const device = edge.devices.find((one) => one.name === 'you');
  return {
    sentBytes: traffic.txBytes,
    receivedBytes: traffic.rxBytes,
    edgeReceivedBytes: device?.rxBytes ?? 0,
    edgeSentBytes: device?.txBytes ?? 0,
    path: device?.path ?? '',
    handshakeMs: verified?.handshakeMs,
  };
}

/** Does one thing and prints its line. A signal ends the wait for it. */
async function step<T>(text: string, act: () => Promise<T>, tookMs?: (result: T) => number): Promise<T> {
  const began = performance.now();
  try {
    if (stopping.signal.aborted) throw new Interrupted();
    const result = await Promise.race([act(), interrupted()]);
    print(screen.stepLine(look, text, tookMs?.(result) ?? performance.now() - began));
    return result;
  } catch (cause) {
    if (stoppedBy === undefined) print(screen.failedLine(look, text));
    throw cause;
  }
}

async function interrupted(): Promise<never> {
  await stopped;
  throw new Interrupted();
}

/** Live status until a signal. */
async function watch(stage: Stage): Promise<void> {
  print(screen.tryIt(look, stage.clientNamespace, pageV4));
  const began = performance.now();
  while (stoppedBy === undefined) {
    const status = await stage.status();
    const { rxBytes, txBytes } = status.traffic;
    const seconds = Math.floor((performance.now() - began) / 1000);
    const moment = { heading: wordsFor(status).heading, receivedBytes: rxBytes, sentBytes: txBytes, seconds };
    print(`\r\u001b[K${screen.liveLine(look, moment)}`);
    await Promise.race([stopped, pause(liveMs)]);
  }
  print('\r\u001b[K');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function explain(cause: unknown): void {
  const known = cause instanceof CulvertError;
  const text = cause instanceof Error ? cause.message : String(cause);
  const { code, remedy } = known ? cause : new CulvertError('internal');
  process.stderr.write(`\nculvert: ${text}\n  ${remedy} [${code}]\n`);
}

process.exit(await main(process.argv.slice(2)));
