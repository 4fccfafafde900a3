/**
 * What a tunnel with a stack inside needs before anybody knows which tunnel it is: memory, proven cryptography, and
 * the code of a handshake compiled. Holds no key and no socket.
 */

import type { Entropy, Log } from '../../core/base/ports.ts';
import type { CryptoSuite } from '../../core/crypto/suite.ts';
import { PacketBatch } from '../../core/packet/batch.ts';
import { rehearse } from '../../core/tunnel/rehearsal.ts';
import { chooseSuite } from '../crypto/choose.ts';
import { type LoopBatches, loopBatches, loopBatchesBytes } from '../dataplane/batches.ts';
import { systemEntropy } from '../entropy.ts';
import { ffiAvailable } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';

export interface StackGround {
  /** Closed by the tunnel that is built on it. */
  readonly memory: WorkerMemory;
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  readonly batches: LoopBatches;
  /** For what the stack sends while it takes a batch. */
  readonly replies: PacketBatch;
}

/** Memory besides the batches: message headers, iovecs, control messages, keys. */
const portsBytes = 4 * 1024 * 1024;
/** Acknowledgements, and what they let go. */
const repliesArena = 1024 * 1024;
const repliesCapacity = 512;
/** The first handshake of a fresh program takes 12 ms, after this many about 1.5. */
const rehearsalRounds = 8;

/** For one tunnel. Throws CulvertError where the cryptography cannot be had. Takes some 60 ms in a fresh program. */
export function layStackGround(log: Log): StackGround {
  const ffi = ffiAvailable();
  const memory = new WorkerMemory(
    loopBatchesBytes + repliesArena + portsBytes,
    ffi.ok ? ffi.libc : undefined,
  );
  const suite = chooseSuite({ memory, log });
  const entropy = systemEntropy();
  const batches = loopBatches(memory);
  const { fromUdp: input, toTun, out } = batches;
  rehearse({ suite, entropy, input, toTun, out, rounds: rehearsalRounds });
  return { memory, suite, entropy, batches, replies: newReplies(memory) };
}

function newReplies(memory: WorkerMemory): PacketBatch {
  const arenaStart = memory.alloc(repliesArena, 64);
  return new PacketBatch({
    bytes: memory.bytes,
    arenaStart,
    arenaEnd: arenaStart + repliesArena,
    capacity: repliesCapacity,
    addressCapacity: 1,
  });
}
