/** `culvert-edge run`: starts an edge, says that it is ready, and ends it on a signal or on its own failure. */

import type { Log } from '../../shared/core/base/ports.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import { growHeapSlowly } from '../../shared/node/heap.ts';
import { createLog } from '../../shared/node/log.ts';
import type { EdgeConfig } from '../config.ts';
import type { EdgeIdentity } from '../identity.ts';
import { keyText } from '../peers/peer-changes.ts';
import type { EdgeOptions } from '../run-options.ts';
import type { RunWords } from './cli.ts';
import { startText } from './render.ts';

/** What this command needs of a running edge. */
export interface RunningEdge {
  readonly identity: EdgeIdentity;
  readonly config: EdgeConfig;
  onFailure(listener: () => void): void;
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const success = 0;
const failure = 1;

export async function runEdge(
  words: RunWords,
  start: (options: EdgeOptions) => Promise<RunningEdge>,
): Promise<number> {
  growHeapSlowly();
  const { logLevel, ...folders } = words;
  const log = createLog({ level: logLevel, format: 'json' });
  // Before the start: a signal in the middle of it must not leave half an edge behind.
  const signals = catchSignals();
  const edge = await start({ ...folders, log, unixNow: () => unixMs(Date.now()) });
  if (edge.identity.created) print(`public key: ${keyText(edge.identity.publicKey)}\n`);
  if (process.stdout.isTTY) print(startText(edge.config, keyText(edge.identity.publicKey)));
  print('ready\n');
  log.info('ready', {
    port: edge.config.udpPorts[0],
    egress: edge.config.backend,
    why: edge.config.backendReason,
    workers: edge.config.workers,
    peers: edge.config.peers.length,
  });
  const code = await new Promise<number>((resolve) => {
    edge.onFailure(() => resolve(failure));
    signals.onEnd(() => resolve(success));
    signals.onReload(() => void reload(edge, log));
  });
  await edge.stop();
  log.info('ended', { code });
  return code;
}

/** Whoever reads our output may be gone: that must not stop an edge. */
function print(text: string): void {
  process.stdout.write(text);
}

async function reload(edge: RunningEdge, log: Log): Promise<void> {
  try {
    await edge.reload();
  } catch (cause) {
    log.error('the configuration was not reloaded', {
      why: cause instanceof Error ? cause.message : String(cause),
    });
  }
}

interface Signals {
  onEnd(listener: () => void): void;
  onReload(listener: () => void): void;
}

/** Remembers a signal that comes before somebody listens. */
function catchSignals(): Signals {
  let ended = false;
  let end: (() => void) | undefined;
  let reload: (() => void) | undefined;
  const onEndSignal = (): void => {
    ended = true;
    end?.();
  };
  process.on('SIGINT', onEndSignal);
  process.on('SIGTERM', onEndSignal);
  process.on('SIGHUP', () => reload?.());
  process.stdout.on('error', () => undefined);
  return {
    onEnd(listener) {
      end = listener;
      if (ended) listener();
    },
    onReload(listener) {
      reload = listener;
    },
  };
}
