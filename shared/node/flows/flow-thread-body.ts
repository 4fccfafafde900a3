/**
 * The worker side of a tunnel that ends in a userspace stack: device, loop, stack and the role of the program
 * on one event loop. The composition root (`flow-thread.ts` of a program) calls it. An exception here, or a
 * promise that nobody catches, ends the worker; the main thread is told.
 */

import { workerData } from 'node:worker_threads';
import { CulvertError } from '../../core/control/codes.ts';
import { threadLog } from '../dataplane/thread-log.ts';
import { describeError } from '../dataplane/worker-error.ts';
import type { FlowParts, FlowRole } from './contract.ts';
import {
  endedWord,
  endingWord,
  type FlowThreadStart,
  type FromFlowWorker,
  type ToFlowWorker,
} from './flow-messages.ts';
import { StackTunnel } from './stack-tunnel.ts';

/** Makes the role of this worker. May take its time; the tunnel carries packets only afterwards. */
export type MakeFlowRole = (parts: FlowParts) => FlowRole | Promise<FlowRole>;

/** Runs the tunnel and the role of this worker until it is stopped. Call once, from the worker's entry file. */
export function runFlowThread(makeRole: MakeFlowRole): void {
  const { port } = workerData as FlowThreadStart;
  run(makeRole).catch((error: unknown) => {
    const send = (message: FromFlowWorker): void => port.postMessage(message);
    send({ kind: 'ended', why: 'failed', detail: describeError(error).text });
    send({ kind: 'error', id: 0, error: describeError(error) });
    endThread();
  });
}

async function run(makeRole: MakeFlowRole): Promise<void> {
  const start = workerData as FlowThreadStart;
  const send = (message: FromFlowWorker): void => start.port.postMessage(message);
  const log = threadLog(send);
  const tunnel = new StackTunnel({
    ...start.options,
    udp: start.udp,
    log,
    onEvent: (event) => send({ kind: 'event', event }),
  });
  // Native sockets belong to the process: they must be closed even where this thread ends by a bug.
  process.once('exit', () => tunnel.close());
  void endWhenTold(start.ending, tunnel);
  const role = await makeRole({
    stack: tunnel.host,
    settings: start.options.settings,
    log,
    clock: tunnel.clock,
    entropy: tunnel.entropy,
    deviceStatus: () => tunnel.status(),
    turn: (judge) => tunnel.turn(judge),
    notify: (name, value) => send({ kind: 'notice', name, value }),
  });
  start.port.on('message', (message: ToFlowWorker) => {
    const answered = message.kind === 'stop' ? stop(message.id) : answer(message);
    void answered.then(send, (error: unknown) => {
      // A bug must not pass for an answer.
      if (!(error instanceof CulvertError)) throw error;
      send({ kind: 'error', id: message.id, error: describeError(error) });
    });
  });
  send({ kind: 'ready', interfaceName: '' });

  async function answer(message: Exclude<ToFlowWorker, { kind: 'stop' }>): Promise<FromFlowWorker> {
    const { id } = message;
    if (message.kind === 'status') return { kind: 'status', id, status: tunnel.status() };
    if (message.kind === 'call') {
      return { kind: 'result', id, value: await role.call(message.name, message.argument) };
    }
    if (message.kind === 'rest') tunnel.rest(message.isResting);
    else await tunnel.configure(message.change);
    return { kind: 'done', id };
  }

  async function stop(id: number): Promise<FromFlowWorker> {
    try {
      await role.close();
    } finally {
      tunnel.end();
      void afterCloses().then(endThread);
    }
    return { kind: 'done', id };
  }
}

/**
 * A thread that is ended from outside in the midst of a callback of a native watcher takes the process down
 * with it. So whoever would end it tells us first, and we go by ourselves.
 */
async function endWhenTold(ending: Int32Array, tunnel: StackTunnel): Promise<void> {
  const told = Atomics.waitAsync(ending, endingWord, 0);
  if (told.async) await told.value;
  tunnel.close();
  await afterCloses();
  Atomics.store(ending, endedWord, 1);
  Atomics.notify(ending, endedWord);
  endThread();
}

/**
 * Resolves when the event loop has let go of what was closed before the call. A thread that ends earlier can wait for
 * ever for a native watcher that is half closed: its last callback comes at the end of a turn, behind this one's immediates.
 */
async function afterCloses(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** In a worker this ends the thread, not the process. */
function endThread(): void {
  process.exit();
}
