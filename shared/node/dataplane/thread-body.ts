/**
 * The worker side of a tunnel on a TUN interface: prepares what every tunnel needs, waits to be told which one it is,
 * then runs the loop and serves the main thread's messages. The composition root (`packet-thread.ts` of a program) calls
 * it. An exception here ends the worker: traffic stays stopped, the main thread is told.
 */

import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Entropy, Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { CryptoSuite } from '../../core/crypto/suite.ts';
import type { Limits } from '../../core/session/limits.ts';
import { TunnelDevice } from '../../core/tunnel/device.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { type Clock, systemClock } from '../clock.ts';
import { chooseSuite } from '../crypto/choose.ts';
import { systemEntropy } from '../entropy.ts';
import { type Libc, requireLibc } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import { giveBackCompiled } from '../give-back.ts';
import { collectGarbage } from '../heap.ts';
import { TunLinux } from '../tun/tun-linux.ts';
import type { ImmediateUdpPort } from '../udp/port.ts';
import { UdpLinux } from '../udp/udp-linux.ts';
import { type LoopBatches, loopBatches, loopBatchesBytes } from './batches.ts';
import { Commands } from './commands.ts';
import { DataplaneLoop } from './loop.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { Outbox } from './outbox.ts';
import { drivePoll, type SpareStep } from './poll-driver.ts';
import { threadLog } from './thread-log.ts';
import { UdpRing, type UdpRingMemory } from './udp-ring.ts';
import { warmUp } from './warm-up.ts';
import { describeError } from './worker-error.ts';

/** What the main thread gives its packet worker. */
export interface ThreadOptions {
  readonly interfaceName: string;
  readonly mtu: number;
  /** Other times than the paper's, for tests. */
  readonly limits?: Partial<Limits>;
  /** First counter of every session, for tests. */
  readonly firstCounter?: number;
}

/** Which UDP sockets carry the tunnel: batched by FFI, or Node's own in a worker beside. */
export type UdpKind = 'linux' | 'dgram';

/** The shape of `workerData`. */
export interface ThreadStart {
  readonly port: MessagePort;
  readonly eventFd: number;
  /** Element 0 is 1 when the process is ending and the worker must return at once. */
  readonly stopFlag: Int32Array;
  /** Rings to a socket worker, where the portable sockets are used. */
  readonly udpRing: UdpRingMemory | undefined;
}

/** Memory besides the batches: message headers, iovecs, control messages, staging. */
const portsBytes = 4 * 1024 * 1024;

/** The first message: what the worker becomes. Or `stop`: nothing. */
export type FirstMessage =
  | { readonly kind: 'begin'; readonly options: ThreadOptions }
  | Extract<ToWorker, { readonly kind: 'stop' }>;

/** Runs this worker until it is stopped. Call once, from the worker's entry file. */
export function runTunTunnelThread(): void {
  const start = workerData as ThreadStart;
  const { port } = start;
  const send = (message: FromWorker): void => port.postMessage(message);
  endingBySelf(port, send, () => {
    const ground = layGround(start, send);
    const first = receiveMessageOnPort(port);
    if (first !== undefined) return become(first.message as FirstMessage, start, ground, send);
    // Whoever waits for long takes little room meanwhile.
    collectGarbage();
    giveBackCompiled();
    // The event loop wakes for nothing else, and ends with the program.
    port.once('message', (message: FirstMessage) =>
      endingBySelf(port, send, () => become(message, start, ground, send)),
    );
    return 'waits';
  });
}

type Send = (message: FromWorker) => void;

/** Runs it, and tells the main thread how it ended where nobody asked for that. */
function endingBySelf(port: MessagePort, send: Send, body: () => 'waits' | 'stopped' | 'gone'): void {
  let why: ReturnType<typeof body> = 'stopped';
  try {
    why = body();
    if (why === 'gone') send({ kind: 'ended', why, detail: 'The network interface is gone.' });
  } catch (error) {
    send({ kind: 'ended', why: 'failed', detail: describeError(error).text });
    send({ kind: 'error', id: 0, error: describeError(error) });
  } finally {
    if (why !== 'waits') port.close();
  }
}

/** What any tunnel needs. */
interface Ground {
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly log: Log;
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  readonly clock: Clock;
  readonly batches: LoopBatches;
  /** What is left of the warm-up. */
  readonly spare: Generator<SpareStep, void, void>;
}

function layGround(start: ThreadStart, send: Send): Ground {
  const libc = requireLibc();
  const memory = new WorkerMemory(loopBatchesBytes + portsBytes, libc);
  const log = threadLog(send);
  const clock = systemClock();
  const suite = chooseSuite({ memory, log });
  const entropy = systemEntropy();
  const batches = loopBatches(memory);
  const withSockets = start.udpRing === undefined;
  const spare = warmUp({ libc, memory, suite, entropy, clock, batches }, withSockets);
  return { libc, memory, log, suite, entropy, clock, batches, spare };
}

function openSockets(start: ThreadStart, parts: Ground): ImmediateUdpPort {
  const { udpRing } = start;
  return udpRing === undefined ? new UdpLinux(parts) : new UdpRing(udpRing, parts.libc, parts.memory);
}

function become(first: FirstMessage, start: ThreadStart, ground: Ground, send: Send): 'stopped' | 'gone' {
  try {
    return first.kind === 'stop' ? 'stopped' : runTunnel(first.options, start, ground, send);
  } finally {
    ground.spare.return();
    ground.memory.close();
  }
}

function runTunnel(
  options: ThreadOptions,
  start: ThreadStart,
  ground: Ground,
  send: Send,
): 'stopped' | 'gone' {
  const { libc, memory, log, suite, entropy, clock, batches, spare } = ground;
  const tun = new TunLinux({ libc, memory, log, name: options.interfaceName, mtu: options.mtu });
  const udp = openSockets(start, ground);
  // After the warm-up: the engine keeps changing its idea of a thing while the first ones are made.
  const device = new TunnelDevice({
    suite,
    entropy,
    mtu: tun.mtu,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.firstCounter === undefined ? {} : { firstCounter: options.firstCounter }),
  });
  const outbox = new Outbox(send);
  const onEvent = (event: TunnelEvent): void => outbox.add(event);
  const loop = new DataplaneLoop({ device, udp, tun, clock, batches, onEvent });
  const commands = new Commands({ device, udp, tun, clock, suite: suite.name });
  send({ kind: 'ready', interfaceName: tun.name });
  try {
    return drivePoll({
      loop,
      libc,
      memory,
      clock,
      ports: [tun, udp],
      eventFd: start.eventFd,
      outbox,
      spare,
      takeMessages: messageTaker(start, { send, outbox, commands, loop }),
    });
  } finally {
    outbox.send();
    udp.close();
    tun.close();
    device.wipe();
  }
}

interface Serving {
  readonly send: Send;
  readonly outbox: Outbox;
  readonly commands: Commands;
  readonly loop: DataplaneLoop;
}

/** What the driver calls to have the main thread's messages answered. */
function messageTaker(start: ThreadStart, serving: Serving): () => boolean {
  const { port, stopFlag } = start;
  return () => {
    serving.outbox.send();
    if (Atomics.load(stopFlag, 0) !== 0) return false;
    for (;;) {
      const next = receiveMessageOnPort(port);
      if (next === undefined) return true;
      if (!serve(next.message as ToWorker, serving)) return false;
    }
  };
}

/** Answers one message. Returns false for `stop`. */
function serve(message: ToWorker, { send, commands, loop }: Serving): boolean {
  const { id } = message;
  try {
    if (message.kind === 'stop') {
      send({ kind: 'done', id });
      return false;
    }
    if (message.kind === 'status') {
      send({ kind: 'status', id, status: commands.status() });
    } else if (message.kind === 'rest') {
      loop.rest(message.isResting);
      send({ kind: 'done', id });
    } else {
      commands.configure(message.change);
      loop.settle();
      loop.prepare();
      send({ kind: 'done', id });
    }
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    send({ kind: 'error', id, error: describeError(error) });
  }
  return true;
}
