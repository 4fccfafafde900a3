/** Devices and invitations for tests of stores; imports no test runner, so that programs can use it. */

import type { AddressPool } from '../../edge/peers/addresses.ts';
import type { Act, Enrolment, NewDevice, PeerStore } from '../../edge/peers/store.ts';
import { parsePrefix } from '../../shared/core/base/ip.ts';
import { type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import { seededEntropy } from '../support/seeded.ts';

export const start: UnixMs = unixMs(1_900_000_000_000);

export function poolOf(text: string, ...reserved: readonly string[]): AddressPool {
  return { prefix: parsePrefix(text)!, reserved: reserved.map((one) => parsePrefix(one)!) };
}

const pools = [poolOf('10.83.0.0/16'), poolOf('fd7c:1f2e:9a40::/64')];

export function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

let acts = 0;
const run = `${process.pid}`;
export function act(at: number = start, actor = 'operator'): Act {
  return { id: `act${run}n${acts++}`, actor, at: unixMs(at) };
}

export function newDevice(number: number, changes: Partial<NewDevice> = {}): NewDevice {
  return {
    id: `device${String(number).padStart(6, '0')}`,
    name: `device ${number}`,
    publicKey: keyOf(number),
    platform: undefined,
    pools,
    entropy: seededEntropy(number),
    ...changes,
  };
}

export function enrolment(number: number, token: number, changes: Partial<Enrolment> = {}): Enrolment {
  return {
    ...newDevice(number),
    tokenHash: keyOf(900_000 + token),
    bearerHash: keyOf(800_000 + number),
    ...changes,
  };
}

export interface StoreWorld {
  readonly store: PeerStore;
  /** A second connection to the same store, as another program has it. */
  readonly second: () => PeerStore;
  readonly close: () => void;
}

/** A test with a store of its own, which is closed after it. */
export function withStoreOf(
  open: () => StoreWorld,
): (body: (world: StoreWorld) => Promise<void>) => () => Promise<void> {
  return (body) => async () => {
    const world = open();
    try {
      await body(world);
    } finally {
      world.close();
    }
  };
}

/** An invitation with that token, from the start on. `ttl`: milliseconds. */
export async function invited(store: PeerStore, token: number, uses = 1, ttl = 15 * 60_000): Promise<void> {
  const invite = {
    id: `invite${token}`,
    tokenHash: keyOf(900_000 + token),
    name: undefined,
    path: undefined,
  };
  await store.addInvite({ ...invite, expiresAt: unixMs(start + ttl), uses }, act());
}
