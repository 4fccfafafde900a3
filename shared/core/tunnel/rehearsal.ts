/**
 * Two throwaway devices shake hands and exchange packets a few times, before the first real
 * handshake: the engine then has the slow path compiled, and the user's first connection does not
 * pay for it. Uses the loop's own batches, before anything else does. Keys are drawn and wiped.
 */

import { endpointSize } from '../base/endpoint.ts';
import { writeEndpoint } from '../base/ip.ts';
import type { Entropy } from '../base/ports.ts';
import { type MonoMs, monoMs, secondMs, unixMs } from '../base/time.ts';
import { type CryptoSuite, keySize } from '../crypto/suite.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { TunnelDevice } from './device.ts';

export interface RehearsalOptions {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  /** In one memory; empty, and empty again afterwards. */
  readonly input: PacketBatch;
  readonly toTun: PacketBatch;
  readonly out: PacketBatch;
  /** Handshakes to make. */
  readonly rounds: number;
}

/** Longer than a session lives, so that every round needs a handshake. */
const roundMs = 200 * secondMs;
const packetSize = 64;
const endpoint = { address: '127.0.0.1', port: 1 };

/** Runs it. Touches nothing but the batches. */
export function rehearse(options: RehearsalOptions): void {
  const rounds = rehearsal(options);
  while (rounds.next().done !== true);
}

/**
 * The same handshake by handshake, saying how many were made, for whoever has other things to do between them:
 * the batches may be used then, and are to be empty before the next. Whoever does not finish it must end it (`return`).
 */
export function* rehearsal(options: RehearsalOptions): Generator<number, void, void> {
  const { suite, entropy, input, toTun, out } = options;
  const [a, b] = pair(suite, entropy);
  const record = new Uint8Array(endpointSize);
  writeEndpoint(record, 0, endpoint);
  try {
    for (let round = 0; round < options.rounds; round++) {
      const now = monoMs((round + 1) * roundMs);
      for (const device of [a, b]) device.setWallClock(now, unixMs(now));
      putPacket(input);
      a.handleTun(input, now, toTun, out);
      for (const device of [b, a, b]) deliver(device, now, record, options);
      for (const batch of [input, toTun, out]) batch.clear();
      yield round + 1;
    }
  } finally {
    for (const device of [a, b]) device.wipe();
  }
}

function pair(suite: CryptoSuite, entropy: Entropy): readonly [TunnelDevice, TunnelDevice] {
  const secrets = [new Uint8Array(keySize), new Uint8Array(keySize)] as const;
  for (const secret of secrets) entropy.fill(secret);
  const make = (mine: Uint8Array, theirs: Uint8Array): TunnelDevice => {
    const device = new TunnelDevice({ suite, entropy, mtu: 1420 });
    const peer = { publicKey: suite.publicKey(theirs), endpoint, allowedIps: ['0.0.0.0/0'] };
    device.configure({ privateKey: mine, peers: [peer] }, monoMs(0));
    return device;
  };
  const devices = [make(secrets[0], secrets[1]), make(secrets[1], secrets[0])] as const;
  for (const secret of secrets) secret.fill(0);
  return devices;
}

/** Hands what is in `out` to the device, whose answers take its place. */
function deliver(device: TunnelDevice, now: MonoMs, record: Uint8Array, options: RehearsalOptions): void {
  const { input, toTun, out } = options;
  input.clear();
  const address = input.addAddress(record, 0);
  for (let i = 0; i < out.count; i++) {
    const length = out.length[i]!;
    const at = input.reserve(length);
    input.bytes.copyWithin(at, out.offset[i]!, out.offset[i]! + length);
    input.push(at, length, address);
  }
  out.clear();
  device.handleUdp(input, now, toTun, out);
}

/** An empty IPv4 packet of an experimental protocol. */
function putPacket(input: PacketBatch): void {
  const at = input.reserve(packetSize);
  input.bytes.fill(0, at, at + packetSize);
  input.bytes[at] = 0x45;
  input.bytes[at + 3] = packetSize;
  input.bytes[at + 9] = 253;
  input.push(at, packetSize);
}
