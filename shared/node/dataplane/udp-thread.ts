/**
 * Worker entry: Node's own UDP sockets for a packet worker that runs no event loop. Moves datagrams
 * between the sockets and two rings, and binds when asked. Knows no tunnel.
 */

import { workerData } from 'node:worker_threads';
import { CulvertError } from '../../core/control/codes.ts';
import { requireLibc } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import { silentLog } from '../silent-log.ts';
import { UdpDgram } from '../udp/udp-dgram.ts';
import { loopBatches, loopBatchesBytes } from './batches.ts';
import { Ring } from './ring.ts';
import { endRequest, markRequest, ringControl, type UdpRingMemory } from './udp-ring.ts';

const shared = workerData as UdpRingMemory;
const libc = requireLibc();
const control = new Int32Array(shared.control);
const toSockets = new Ring(shared.toSockets);
const fromSockets = new Ring(shared.fromSockets);
const { fromUdp, out } = loopBatches(new WorkerMemory(loopBatchesBytes, undefined));
const sockets = new UdpDgram({ log: silentLog });
const nudge = new Uint8Array(8);
nudge[0] = 1;
let ended = false;

sockets.onReadable = () => {
  fromUdp.clear();
  if (sockets.readBatch(fromUdp) === 0) return;
  fromSockets.push(fromUdp);
  libc.writeBytes(shared.eventFd, nudge);
};

async function answerRequests(): Promise<void> {
  for (let answered = 0; !ended; ) {
    const asked = Atomics.load(control, ringControl.request);
    if (asked === answered) {
      await change(control, ringControl.request, asked);
      continue;
    }
    Atomics.store(control, ringControl.errno, await carryOut(Atomics.load(control, ringControl.port)));
    Atomics.store(control, ringControl.localPort, sockets.localPort);
    answered = asked;
    Atomics.store(control, ringControl.answered, asked);
    Atomics.notify(control, ringControl.answered);
  }
}

/** Returns 0, or the errno of what went wrong. */
async function carryOut(port: number): Promise<number> {
  if (port === endRequest) {
    ended = true;
    sockets.close();
    Atomics.notify(toSockets.control, Ring.tailIndex);
    return 0;
  }
  try {
    if (port === markRequest) sockets.setMark(Atomics.load(control, ringControl.mark) >>> 0);
    else await sockets.bind(port);
    return 0;
  } catch (error) {
    const inputOutput = 5;
    return error instanceof CulvertError ? (error.errno ?? inputOutput) : inputOutput;
  }
}

async function sendWhatComes(): Promise<void> {
  while (!ended) {
    const tail = Atomics.load(toSockets.control, Ring.tailIndex);
    out.clear();
    if (toSockets.take(out) > 0) sockets.writeBatch(out);
    else await change(toSockets.control, Ring.tailIndex, tail);
  }
}

/** Resolves once the word is (or may be) no longer `value`. */
async function change(words: Int32Array, index: number, value: number): Promise<void> {
  const waiting = Atomics.waitAsync(words, index, value);
  if (waiting.async) await waiting.value;
}

// Atomics.waitAsync does not keep a thread alive.
const alive = setInterval(() => {}, 60_000);
await Promise.all([answerRequests(), sendWhatComes()]);
clearInterval(alive);
