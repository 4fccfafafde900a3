/**
 * The worker side of a tunnel on a TUN interface: given its ports, runs the loop and serves the
 * main thread's messages. The composition root (`packet-thread.ts` of a program) calls it. An
 * exception here ends the worker: traffic stays stopped, the main thread is told.
 */

import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { Limits } from '../../core/session/limits.ts';
import { TunnelDevice } from '../../core/tunnel/device.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { systemClock } from '../clock.ts';
import { chooseSuite } from '../crypto/choose.ts';
import { systemEntropy } from '../entropy.ts';
import { type Libc, requireLibc } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import { TunLinux } from '../tun/tun-linux.ts';
import type { ImmediateUdpPort } from '../udp/port.ts';
import { UdpLinux } from '../udp/udp-linux.ts';
import { loopBatches, loopBatchesBytes } from './batches.ts';
import { Commands } from './commands.ts';
import { DataplaneLoop } from './loop.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { Outbox } from './outbox.ts';
import { drivePoll } from './poll-driver.ts';
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
  readonly options: ThreadOptions;
  readonly port: MessagePort;
  readonly eventFd: number;
  /** Element 0 is 1 when the process is ending and the worker must return at once. */
  readonly stopFlag: Int32Array;
  /** Rings to a socket worker, where the portable sockets are used. */
  readonly udpRing: UdpRingMemory | undefined;
}

/** Memory besides the batches: message headers, iovecs, control messages, staging. */
const portsBytes = 4 * 1024 * 1024;

/** Runs the tunnel of this worker until it is stopped. Call once, from the worker's entry file. */
export function runTunTunnelThread(): void {
  const start = workerData as ThreadStart;
  const { port } = start;
  const send = (message: FromWorker): void => port.postMessage(message);
  try {
    const why = runThread(start, send);
    if (why === 'gone') send({ kind: 'ended', why, detail: 'The network interface is gone.' });
  } catch (error) {
    send({ kind: 'ended', why: 'failed', detail: describeError(error).text });
    send({ kind: 'error', id: 0, error: describeError(error) });
  } finally {
    port.close();
  }
}

interface SocketParts {
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly log: Log;
}

function openSockets(start: ThreadStart, parts: SocketParts): ImmediateUdpPort {
  const { udpRing } = start;
  return udpRing === undefined ? new UdpLinux(parts) : new UdpRing(udpRing, parts.libc, parts.memory);
}

function runThread(start: ThreadStart, send: (message: FromWorker) => void): 'stopped' | 'gone' {
  const { options } = start;
  const libc = requireLibc();
  const memory = new WorkerMemory(loopBatchesBytes + portsBytes, libc);
  const log = threadLog(send);
  const clock = systemClock();
  const suite = chooseSuite({ memory, log });
  const entropy = systemEntropy();
  const tun = new TunLinux({ libc, memory, log, name: options.interfaceName, mtu: options.mtu });
  const udp = openSockets(start, { libc, memory, log });
  const batches = loopBatches(memory);
  const withSockets = start.udpRing === undefined;
  const spare = warmUp({ libc, memory, suite, entropy, clock, batches }, withSockets);
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
    spare.return();
    outbox.send();
    udp.close();
    tun.close();
    device.wipe();
    memory.close();
  }
}

interface Serving {
  readonly send: (message: FromWorker) => void;
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
