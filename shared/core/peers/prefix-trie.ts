/**
 * Path-compressed binary trie of one address family: longest prefix → slot number. Nodes are eight
 * words each in one Int32Array, so that a lookup touches one cache line a level and allocates
 * nothing. Branches are not compared on the way down: only nodes that hold a prefix are.
 */

/** Most nodes of one trie; every prefix costs at most two. */
const maxNodes = 1 << 21;

const firstNodes = 64;

/** A trie with fewer nodes is walked faster than any table in front of it is asked. */
const cachedFromNodes = 32;
/** Answers kept: packets come in trains, and a walk through ten thousand prefixes costs ten times an answer. */
const cacheSlots = 1 << 15;
const cacheShift = 32 - 15;
const cacheWords4 = 2;
const cacheWords6 = 8;
const notCached = -1;
const hashFactor = 0x9e3779b1;
const nodeWords = 8;
// Words of a node: prefix length, children by next bit (0 = none), 1 where a prefix ends here, four words of key.
const bitsAt = 0;
const childAt = 1;
const heldAt = 3;
const keyAt = 4;

export class PrefixTrie {
  // Node 0 is not used: its first child word is the root.
  #nodes = new Int32Array(firstNodes * nodeWords);
  #used = 1;
  /** Head of the list of free nodes, joined by their child word. */
  #free = 0;
  readonly #key = new Int32Array(4);
  #cache = new Int32Array(0);
  /** Set by every change: the answers in the cache may be wrong. */
  #stale = true;

  /** The node of exactly this prefix, made where there is none; 0 where the trie is full. Host bits must be zero. */
  insert(address: Uint8Array, bits: number): number {
    if (!this.#ensureRoom()) return 0;
    this.#stale = true;
    this.#loadKey(address);
    const nodes = this.#nodes;
    let link = childAt;
    for (;;) {
      const node = nodes[link]!;
      if (node === 0) return this.#link(link, this.#create(bits, 1));
      const base = node * nodeWords;
      const nodeBits = nodes[base + bitsAt]!;
      const shared = this.#sharedBits(base, Math.min(bits, nodeBits));
      if (shared === nodeBits) {
        if (nodeBits === bits) {
          nodes[base + heldAt] = 1;
          return node;
        }
        link = base + childAt + this.#bitAt(nodeBits);
        continue;
      }
      if (shared === bits) return this.#insertAbove(link, bits);
      return this.#insertBeside(link, bits, shared);
    }
  }

  /** The node of exactly this prefix, 0 where it is not held. */
  find(address: Uint8Array, bits: number): number {
    this.#loadKey(address);
    const nodes = this.#nodes;
    let node = nodes[childAt]!;
    while (node !== 0) {
      const base = node * nodeWords;
      const nodeBits = nodes[base + bitsAt]!;
      if (nodeBits > bits || this.#sharedBits(base, nodeBits) < nodeBits) return 0;
      if (nodeBits === bits) return nodes[base + heldAt] === 1 ? node : 0;
      node = nodes[base + childAt + this.#bitAt(nodeBits)]!;
    }
    return 0;
  }

  /** Forgets exactly this prefix. Returns its node, which is free now, or 0. */
  remove(address: Uint8Array, bits: number): number {
    const found = this.find(address, bits);
    if (found === 0) return 0;
    this.#stale = true;
    const nodes = this.#nodes;
    let parentLink = childAt;
    let link = childAt;
    while (nodes[link] !== found) {
      parentLink = link;
      const base = nodes[link]! * nodeWords;
      link = base + childAt + this.#bitAt(nodes[base + bitsAt]!);
    }
    nodes[found * nodeWords + heldAt] = 0;
    this.#splice(link);
    if (link !== childAt) this.#splice(parentLink);
    return found;
  }

  /** Bytes and length of the prefix at a node that insert returned. */
  readKey(node: number, address: Uint8Array): number {
    const base = node * nodeWords;
    for (let i = 0; i < address.length; i++) {
      address[i] = this.#nodes[base + keyAt + (i >>> 2)]! >>> (24 - 8 * (i & 3));
    }
    return this.#nodes[base + bitsAt]!;
  }

  /** The node of the longest prefix of the IPv4 address at `offset`, 0 where none fits. */
  lookup4(bytes: Uint8Array, offset: number): number {
    const key = readWord(bytes, offset);
    if (this.#used < cachedFromNodes) return this.#walk4(key);
    const cache = this.#freshCache(cacheWords4);
    const slot = (Math.imul(key, hashFactor) >>> cacheShift) * cacheWords4;
    if (cache[slot] === key && cache[slot + 1] !== notCached) return cache[slot + 1]!;
    const node = this.#walk4(key);
    cache[slot] = key;
    cache[slot + 1] = node;
    return node;
  }

  /** The node of the longest prefix of the IPv6 address at `offset`, 0 where none fits. */
  lookup6(bytes: Uint8Array, offset: number): number {
    const key = this.#key;
    const k0 = (key[0] = readWord(bytes, offset));
    const k1 = (key[1] = readWord(bytes, offset + 4));
    const k2 = (key[2] = readWord(bytes, offset + 8));
    const k3 = (key[3] = readWord(bytes, offset + 12));
    if (this.#used < cachedFromNodes) return this.#walk6();
    const cache = this.#freshCache(cacheWords6);
    const mixed = Math.imul(Math.imul(k0 ^ k1, hashFactor) ^ k2, hashFactor) ^ k3;
    const slot = (Math.imul(mixed, hashFactor) >>> cacheShift) * cacheWords6;
    const same =
      cache[slot] === k0 && cache[slot + 1] === k1 && cache[slot + 2] === k2 && cache[slot + 3] === k3;
    if (same && cache[slot + 4] !== notCached) return cache[slot + 4]!;
    const node = this.#walk6();
    cache.set(key, slot);
    cache[slot + 4] = node;
    return node;
  }

  #walk4(key: number): number {
    const nodes = this.#nodes;
    let best = 0;
    let node = nodes[childAt]!;
    while (node !== 0) {
      const base = node * nodeWords;
      const bits = nodes[base + bitsAt]!;
      if (nodes[base + heldAt] === 1) {
        if (bits !== 0 && (key ^ nodes[base + keyAt]!) >>> (32 - bits) !== 0) return best;
        best = node;
      }
      if (bits === 32) return best;
      node = nodes[base + childAt + ((key >>> (31 - bits)) & 1)]!;
    }
    return best;
  }

  #walk6(): number {
    const nodes = this.#nodes;
    let best = 0;
    let node = nodes[childAt]!;
    while (node !== 0) {
      const base = node * nodeWords;
      const bits = nodes[base + bitsAt]!;
      if (nodes[base + heldAt] === 1) {
        if (this.#sharedBits(base, bits) < bits) return best;
        best = node;
      }
      if (bits === 128) return best;
      node = nodes[base + childAt + this.#bitAt(bits)]!;
    }
    return best;
  }

  /** The cache, without answers from before the last change. */
  #freshCache(words: number): Int32Array {
    if (this.#stale) {
      if (this.#cache.length === 0) this.#cache = new Int32Array(cacheSlots * words);
      this.#cache.fill(notCached);
      this.#stale = false;
    }
    return this.#cache;
  }

  #loadKey(address: Uint8Array): void {
    this.#key.fill(0);
    for (let i = 0; i < address.length; i += 4) this.#key[i >>> 2] = readWord(address, i);
  }

  #bitAt(index: number): number {
    return (this.#key[index >>> 5]! >>> (31 - (index & 31))) & 1;
  }

  /** How many leading bits the key and the node at `base` share, at most `limit`. */
  #sharedBits(base: number, limit: number): number {
    for (let word = 0; word * 32 < limit; word++) {
      const difference = this.#key[word]! ^ this.#nodes[base + keyAt + word]!;
      if (difference !== 0) return Math.min(limit, word * 32 + Math.clz32(difference));
    }
    return limit;
  }

  #link(link: number, node: number): number {
    this.#nodes[link] = node;
    return node;
  }

  /** The key becomes the parent of the node at `link`. */
  #insertAbove(link: number, bits: number): number {
    const below = this.#nodes[link]!;
    const made = this.#create(bits, 1);
    this.#nodes[made * nodeWords + childAt + this.#nodeBit(below, bits)] = below;
    return this.#link(link, made);
  }

  /** The key and the node at `link` part after `shared` bits: a branch gets both. */
  #insertBeside(link: number, bits: number, shared: number): number {
    const other = this.#nodes[link]!;
    const branch = this.#create(shared, 0);
    const made = this.#create(bits, 1);
    this.#nodes[branch * nodeWords + childAt + this.#nodeBit(other, shared)] = other;
    this.#nodes[branch * nodeWords + childAt + this.#bitAt(shared)] = made;
    this.#link(link, branch);
    return made;
  }

  #nodeBit(node: number, index: number): number {
    return (this.#nodes[node * nodeWords + keyAt + (index >>> 5)]! >>> (31 - (index & 31))) & 1;
  }

  /** Takes the node at `link` out where it holds no prefix and joins nothing. */
  #splice(link: number): void {
    const nodes = this.#nodes;
    const node = nodes[link]!;
    if (node === 0) return;
    const base = node * nodeWords;
    const left = nodes[base + childAt]!;
    const right = nodes[base + childAt + 1]!;
    if (nodes[base + heldAt] === 1 || (left !== 0 && right !== 0)) return;
    nodes[link] = left === 0 ? right : left;
    nodes[base + childAt] = this.#free;
    this.#free = node;
  }

  /** Makes sure that two nodes can be made. Only here the memory moves. */
  #ensureRoom(): boolean {
    if (this.#free !== 0 && this.#nodes[this.#free * nodeWords + childAt] !== 0) return true;
    const capacity = this.#nodes.length / nodeWords;
    if (this.#used + 2 <= capacity) return true;
    if (capacity * 2 > maxNodes) return false;
    const larger = new Int32Array(this.#nodes.length * 2);
    larger.set(this.#nodes);
    this.#nodes = larger;
    return true;
  }

  /** A node with the first `bits` bits of the key and no children. */
  #create(bits: number, held: number): number {
    const nodes = this.#nodes;
    let node = this.#free;
    if (node === 0) node = this.#used++;
    else this.#free = nodes[node * nodeWords + childAt]!;
    const base = node * nodeWords;
    nodes[base + bitsAt] = bits;
    nodes[base + childAt] = 0;
    nodes[base + childAt + 1] = 0;
    nodes[base + heldAt] = held;
    for (let word = 0; word < 4; word++) {
      const kept = Math.min(32, Math.max(0, bits - word * 32));
      const mask = kept === 0 ? 0 : -1 << (32 - kept);
      nodes[base + keyAt + word] = this.#key[word]! & mask;
    }
    return node;
  }
}

function readWord(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}
