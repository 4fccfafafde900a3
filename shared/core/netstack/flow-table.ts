/**
 * Which flow a packet belongs to: a chained hash table that a packet is looked up in without making
 * anything. The hash is keyed, and the number of flows of one source is limited, so that chains stay short.
 */

import type { Entropy } from '../base/ports.ts';

/** What the table needs of a flow. Only the table writes `hash` and `chained`. */
export interface FlowNode<T> {
  /** Ports and addresses as an incoming packet carries them: see flowKeyOf. */
  readonly key: Uint8Array;
  hash: number;
  chained: T | undefined;
}

const smallestTable = 64;

/** The key of a flow: remote port, local port, remote address, local address; 12 or 36 bytes. */
export function flowKeyOf(
  remote: Uint8Array,
  remotePort: number,
  local: Uint8Array,
  localPort: number,
): Uint8Array {
  const key = new Uint8Array(4 + remote.length + local.length);
  key[0] = remotePort >>> 8;
  key[1] = remotePort;
  key[2] = localPort >>> 8;
  key[3] = localPort;
  key.set(remote, 4);
  key.set(local, 4 + remote.length);
  return key;
}

export class FlowTable<T extends FlowNode<T>> {
  size = 0;
  #heads: (T | undefined)[] = Array.from({ length: smallestTable });
  readonly #seed: number;

  constructor(entropy: Entropy) {
    const seed = new Uint8Array(4);
    entropy.fill(seed);
    this.#seed = (seed[0]! << 24) | (seed[1]! << 16) | (seed[2]! << 8) | seed[3]!;
  }

  /** The flow with the ports at `ports` and the two addresses, `size` bytes together, at `addresses`. */
  find(bytes: Uint8Array, ports: number, addresses: number, size: number): T | undefined {
    const hash = this.#hash(bytes, ports, addresses, size);
    let node = this.#heads[hash & (this.#heads.length - 1)];
    while (node !== undefined) {
      if (node.hash === hash && isSame(node.key, bytes, ports, addresses, size)) return node;
      node = node.chained;
    }
    return undefined;
  }

  has(key: Uint8Array): boolean {
    return this.find(key, 0, 4, key.length - 4) !== undefined;
  }

  /** The key must not be in the table yet. */
  insert(node: T): void {
    if (this.size >= this.#heads.length) this.#grow();
    node.hash = this.#hash(node.key, 0, 4, node.key.length - 4);
    this.#link(node);
    this.size++;
  }

  remove(node: T): void {
    const slot = node.hash & (this.#heads.length - 1);
    let at = this.#heads[slot];
    if (at === node) {
      this.#heads[slot] = node.chained;
    } else {
      while (at !== undefined && at.chained !== node) at = at.chained;
      if (at === undefined) return;
      at.chained = node.chained;
    }
    node.chained = undefined;
    this.size--;
  }

  /** Everything in the table. Allocates. */
  all(): T[] {
    const found: T[] = [];
    for (const head of this.#heads) {
      for (let node = head; node !== undefined; node = node.chained) found.push(node);
    }
    return found;
  }

  #link(node: T): void {
    const slot = node.hash & (this.#heads.length - 1);
    node.chained = this.#heads[slot];
    this.#heads[slot] = node;
  }

  #grow(): void {
    const nodes = this.all();
    this.#heads = Array.from({ length: 2 * this.#heads.length });
    for (const node of nodes) this.#link(node);
  }

  /** Two multiplications and a keyed start a word; good enough because chains are bounded otherwise too. */
  #hash(bytes: Uint8Array, ports: number, addresses: number, size: number): number {
    let hash = this.#seed ^ size;
    hash = mix(hash, readWord(bytes, ports));
    for (let i = addresses; i < addresses + size; i += 4) hash = mix(hash, readWord(bytes, i));
    hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
    return hash ^ (hash >>> 15);
  }
}

function mix(hash: number, word: number): number {
  let w = Math.imul(word ^ hash, 0x9e3779b1);
  w = (w << 13) | (w >>> 19);
  return (Math.imul(w, 0x85ebca6b) + hash) | 0;
}

function readWord(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

function isSame(key: Uint8Array, bytes: Uint8Array, ports: number, addresses: number, size: number): boolean {
  if (key.length !== size + 4) return false;
  for (let i = 0; i < 4; i++) {
    if (key[i] !== bytes[ports + i]) return false;
  }
  for (let i = 0; i < size; i++) {
    if (key[4 + i] !== bytes[addresses + i]) return false;
  }
  return true;
}
