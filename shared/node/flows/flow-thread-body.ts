/**
 * The worker side of a tunnel that ends in a userspace stack: prepares what every tunnel needs, and when it is told which
 * one it is, runs device, loop, stack and the role of the program on one event loop. The composition root (`flow-thread.ts` of a program) calls it. An exception here, or a
 * promise that nobody catches, ends the worker; the main thread is told.
 */

import { workerData } from 'node:worker_threads';
import { CulvertError } from '../../core/control/codes.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { threadLog } from '../dataplane/thread-log.ts';
import { describeError } from '../dataplane/worker-error.ts';
import { giveBackCompiled } from '../give-back.ts';
import { collectGarbage } from '../heap.ts';
import type { FlowParts, FlowRole } from './contract.ts';
import {
  endedWord,
  endingWord,
  type FlowThreadStart,
  type FlowWorkerOptions,
  type FromFlowWorker,
  type ToFlowWorker,
} from './flow-messages.ts';
import { layStackGround, type StackGround } from './stack-ground.ts';
import { StackTunnel } from './stack-tunnel.ts';

/** Makes the role of this worker. May take its time; the tunnel carries packets only afterwards. */
export type MakeFlowRole = (parts: FlowParts) => FlowRole | Promise<FlowRole>;

/** Runs this worker until it is stopped. Call once, from the worker's entry file. */
export function runFlowThread(makeRole: MakeFlowRole): void {
  const { port, ending } = workerData as FlowThreadStart;
  const send = (message: FromFlowWorker): void => port.postMessage(message);
  const log = threadLog(send);
  const fail = (error: unknown): void => {
    send({ kind: 'ended', why: 'failed', detail: describeError(error).text });
    send({ kind: 'error', id: 0, error: describeError(error) });
    endThread();
  };
  let ground: StackGround;
  try {
    ground = layStackGround(log);
  } catch (error) {
    fail(error);
    return;
  }
  let tunnel: StackTunnel | undefined;
  let running: Promise<Running> | undefined;
  // Native sockets belong to the process: they must be closed even where this thread ends by a bug.
  process.once('exit', () => tunnel?.close());
  void endWhenTold(ending, () => tunnel?.close());
  port.on('message', (message: ToFlowWorker) => {
    if (message.kind === 'begin') {
      running = begin(message.options);
      running.catch(fail);
    } else if (running === undefined) {
      endThread(); // Nobody needs it.
    } else {
      void running.then((all) => serve(all, message, send));
    }
  });
  // Whoever waits for long takes little room meanwhile.
  setImmediate(() => {
    if (running !== undefined) return;
    collectGarbage();
    giveBackCompiled();
  });

  async function begin({ settings, ...options }: FlowWorkerOptions): Promise<Running> {
    const onEvent = (event: TunnelEvent): void => send({ kind: 'event', event });
    const own = new StackTunnel({ ...options, log, onEvent, ground });
    tunnel = own;
    const role = await makeRole({
      stack: own.host,
      udp: options.udp,
      settings,
      log,
      clock: own.clock,
      entropy: own.entropy,
      deviceStatus: () => own.status(),
      turn: (judge) => own.turn(judge),
      notify: (name, value) => send({ kind: 'notice', name, value }),
    });
    send({ kind: 'ready', interfaceName: '' });
    return { tunnel: own, role };
  }
}

interface Running {
  readonly tunnel: StackTunnel;
  readonly role: FlowRole;
}

/** What follows `begin`. */
type Order = Exclude<ToFlowWorker, { readonly kind: 'begin' }>;

async function serve(
  running: Running,
  message: Order,
  send: (message: FromFlowWorker) => void,
): Promise<void> {
  const { id } = message;
  try {
    send(message.kind === 'stop' ? await stop(running, id) : await answer(running, message));
  } catch (error) {
    // A bug must not pass for an answer.
    if (!(error instanceof CulvertError)) throw error;
    send({ kind: 'error', id, error: describeError(error) });
  }
}

async function answer(
  { tunnel, role }: Running,
  message: Exclude<Order, { readonly kind: 'stop' }>,
): Promise<FromFlowWorker> {
  const { id } = message;
  if (message.kind === 'status') return { kind: 'status', id, status: tunnel.status() };
  if (message.kind === 'call')
    return { kind: 'result', id, value: await role.call(message.name, message.argument) };
  if (message.kind === 'rest') tunnel.rest(message.isResting);
  else await tunnel.configure(message.change);
  return { kind: 'done', id };
}

async function stop({ tunnel, role }: Running, id: number): Promise<FromFlowWorker> {
  try {
    await role.close();
  } finally {
    tunnel.end();
    void afterCloses().then(endThread);
  }
  return { kind: 'done', id };
}

/**
 * A thread that is ended from outside in the midst of a callback of a native watcher takes the process down
 * with it. So whoever would end it tells us first, and we go by ourselves.
 */
async function endWhenTold(ending: Int32Array, close: () => void): Promise<void> {
  const told = Atomics.waitAsync(ending, endingWord, 0);
  if (told.async) await told.value;
  close();
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
