/**
 * Addresses for devices out of the edge's network: where to look, and what is never given. Pure; who has
 * what is asked of the caller, inside its transaction, so that two who look at once cannot both find.
 */

import { formatAddress, maskAddress, type Prefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { gatewayOf } from '../network.ts';

export interface AddressPool {
  readonly prefix: Prefix;
  /** Given by the configuration to others. */
  readonly reserved: readonly Prefix[];
}

/** Blind tries before looking one by one: a pool that is not nearly full answers within these. */
const randomTries = 16;
/** Neighbours looked at after that, which covers a /12 of IPv4. */
const maxWalk = 1 << 20;

/** A free address, or undefined where there is none. */
export function findAddress(
  pool: AddressPool,
  entropy: Entropy,
  isTaken: (address: string) => boolean,
): string | undefined {
  const candidate = new Uint8Array(pool.prefix.address.length);
  for (let i = 0; i < randomTries; i++) {
    entropy.fill(candidate);
    intoPrefix(candidate, pool.prefix);
    const text = formatAddress(candidate);
    if (isGiven(pool, candidate) && !isTaken(text)) return text;
  }
  const steps = Math.min(maxWalk, sizeOf(pool.prefix));
  for (let i = 0; i < steps; i++) {
    next(candidate);
    intoPrefix(candidate, pool.prefix);
    const text = formatAddress(candidate);
    if (isGiven(pool, candidate) && !isTaken(text)) return text;
  }
  return undefined;
}

/** All addresses there are, those included that are never given. Up to 2^53. */
function sizeOf(prefix: Prefix): number {
  return 2 ** Math.min(53, prefix.address.length * 8 - prefix.bits);
}

/** Never the network's own address, the gateway, the broadcast address (IPv4) or a reserved one. */
function isGiven(pool: AddressPool, address: Uint8Array): boolean {
  const { prefix, reserved } = pool;
  if (sameBytes(address, prefix.address) || sameBytes(address, gatewayOf(prefix))) return false;
  if (address.length === 4 && isLast(address, prefix)) return false;
  return !reserved.some((one) => prefixContains(one, address));
}

/** Keeps the host's bits and puts the network's in front. */
function intoPrefix(address: Uint8Array, prefix: Prefix): void {
  const network = Uint8Array.from(address);
  maskAddress(network, prefix.bits);
  for (let i = 0; i < address.length; i++) {
    address[i] = ((address[i] ?? 0) ^ (network[i] ?? 0)) | (prefix.address[i] ?? 0);
  }
}

/** Plus one; after the last address comes the first. */
function next(address: Uint8Array): void {
  for (let i = address.length - 1; i >= 0; i--) {
    address[i] = ((address[i] ?? 0) + 1) & 0xff;
    if (address[i] !== 0) return;
  }
}

/** True where every bit behind the prefix is one. */
function isLast(address: Uint8Array, prefix: Prefix): boolean {
  const inverted = address.map((byte) => ~byte & 0xff);
  const network = Uint8Array.from(inverted);
  maskAddress(network, prefix.bits);
  return sameBytes(inverted, network);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
