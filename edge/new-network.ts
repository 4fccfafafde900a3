/** Ranges for a new edge's tunnel that its host uses for nothing else (product.md §6). Pure, but for its dice. */

import { formatPrefix, maskAddress, type Prefix } from '../shared/core/base/ip.ts';
import type { Entropy } from '../shared/core/base/ports.ts';
import { overlaps } from './network.ts';

/** Room for 65 000 devices. */
const v4Bits = 16;
const v6Bits = 64;
const tries = 200;
/** Second bytes of 10.0.0.0/8 that home routers and container programs rarely take. */
const leastSecond = 64;
const mostSecond = 254;

export interface NewNetwork {
  /** '10.83.0.0/16' */
  readonly v4: string;
  /** A unique local prefix (RFC 4193 §3.2). */
  readonly v6: string;
}

/** Undefined where this host routes all of 10.0.0.0/8 that we would take. */
export function newNetwork(used: readonly Prefix[], entropy: Entropy): NewNetwork | undefined {
  const isFree = (prefix: Prefix): boolean => !used.some((one) => overlaps(one, prefix));
  const v4 = draw(() => randomV4(entropy), isFree);
  const v6 = draw(() => randomV6(entropy), isFree);
  return v4 === undefined || v6 === undefined ? undefined : { v4: formatPrefix(v4), v6: formatPrefix(v6) };
}

function draw(one: () => Prefix, isFree: (prefix: Prefix) => boolean): Prefix | undefined {
  for (let i = 0; i < tries; i++) {
    const prefix = one();
    if (isFree(prefix)) return prefix;
  }
  return undefined;
}

function randomV4(entropy: Entropy): Prefix {
  const random = new Uint8Array(1);
  entropy.fill(random);
  const second = leastSecond + ((random[0] ?? 0) % (mostSecond - leastSecond + 1));
  return { address: Uint8Array.of(10, second, 0, 0), bits: v4Bits };
}

function randomV6(entropy: Entropy): Prefix {
  const address = new Uint8Array(16);
  entropy.fill(address);
  address[0] = 0xfd;
  maskAddress(address, v6Bits);
  return { address, bits: v6Bits };
}
