/**
 * Allowed IPs (WireGuard paper §2): longest prefix of an inner address → the one T that owns it,
 * for IPv4 and IPv6. "Cryptokey routing": outbound by destination, inbound check by source.
 */

import { assert } from '../base/assert.ts';
import { comparePrefixes, formatPrefix, maskAddress, type Prefix } from '../base/ip.ts';
import { PrefixTrie } from './prefix-trie.ts';

/** Most prefixes of one table, both families together. */
const maxAllowedIps = 1 << 19;

const ipv4Size = 4;
const ipv6Size = 16;

/** One family: the trie, and the owner of each of its nodes. */
interface Family<T> {
  readonly size: number;
  readonly trie: PrefixTrie;
  readonly owners: (T | undefined)[];
}

/** Nodes of one owner, by family. */
interface Holdings {
  readonly nodes4: Set<number>;
  readonly nodes6: Set<number>;
}

export class AllowedIps<T> {
  readonly #capacity: number;
  readonly #ipv4: Family<T> = { size: ipv4Size, trie: new PrefixTrie(), owners: [undefined] };
  readonly #ipv6: Family<T> = { size: ipv6Size, trie: new PrefixTrie(), owners: [undefined] };
  readonly #holdings = new Map<T, Holdings>();
  #count = 0;

  constructor(capacity: number = maxAllowedIps) {
    this.#capacity = capacity;
  }

  /** Prefixes in the table. */
  get size(): number {
    return this.#count;
  }

  /**
   * Gives the prefix to `value`; an owner of exactly the same prefix loses it. `address` has 4 or
   * 16 bytes and is copied; bits behind `bits` are ignored. Returns false where the table is full.
   */
  insert(address: Uint8Array, bits: number, value: T): boolean {
    const family = this.#family(address, bits);
    const masked = address.slice();
    maskAddress(masked, bits);
    if (this.#count >= this.#capacity && family.trie.find(masked, bits) === 0) return false;
    const node = family.trie.insert(masked, bits);
    if (node === 0) return false;
    const before = family.owners[node];
    if (before === undefined) this.#count++;
    else this.#release(before, family.size, node);
    family.owners[node] = value;
    this.#hold(value, family.size, node);
    return true;
  }

  /** Takes the prefix away from `value`. Returns false, and does nothing, where it is not the owner. */
  remove(address: Uint8Array, bits: number, value: T): boolean {
    const family = this.#family(address, bits);
    const masked = address.slice();
    maskAddress(masked, bits);
    const node = family.trie.find(masked, bits);
    if (node === 0 || family.owners[node] !== value) return false;
    this.#forget(family, masked, bits);
    this.#release(value, family.size, node);
    return true;
  }

  /** Takes every prefix away from `value`. */
  removeAll(value: T): void {
    const holdings = this.#holdings.get(value);
    if (holdings === undefined) return;
    this.#holdings.delete(value);
    for (const family of [this.#ipv4, this.#ipv6]) {
      const address = new Uint8Array(family.size);
      for (const node of nodesOf(holdings, family.size)) {
        const bits = family.trie.readKey(node, address);
        this.#forget(family, address, bits);
      }
    }
  }

  /** The owner of the longest prefix of the four bytes at `offset`. The caller has checked that they are there. */
  lookup4(bytes: Uint8Array, offset: number): T | undefined {
    return this.#ipv4.owners[this.#ipv4.trie.lookup4(bytes, offset)];
  }

  /** The owner of the longest prefix of the sixteen bytes at `offset`. The caller has checked that they are there. */
  lookup6(bytes: Uint8Array, offset: number): T | undefined {
    return this.#ipv6.owners[this.#ipv6.trie.lookup6(bytes, offset)];
  }

  /** Prefixes of `value` in a stable order: IPv4 first, then by address and length. */
  entriesOf(value: T): Prefix[] {
    const holdings = this.#holdings.get(value);
    if (holdings === undefined) return [];
    const prefixes: Prefix[] = [];
    for (const family of [this.#ipv4, this.#ipv6]) {
      for (const node of nodesOf(holdings, family.size)) {
        const address = new Uint8Array(family.size);
        prefixes.push({ bits: family.trie.readKey(node, address), address });
      }
    }
    return prefixes.toSorted(comparePrefixes);
  }

  /** entriesOf as text: '10.0.0.0/8'. */
  textsOf(value: T): string[] {
    return this.entriesOf(value).map(formatPrefix);
  }

  #family(address: Uint8Array, bits: number): Family<T> {
    assert(address.length === ipv4Size || address.length === ipv6Size, 'an address has 4 or 16 bytes');
    assert(Number.isInteger(bits) && bits >= 0 && bits <= address.length * 8, 'the prefix fits its address');
    return address.length === ipv4Size ? this.#ipv4 : this.#ipv6;
  }

  #forget(family: Family<T>, address: Uint8Array, bits: number): void {
    const node = family.trie.remove(address, bits);
    assert(node !== 0, 'a held prefix is in the trie');
    family.owners[node] = undefined;
    this.#count--;
  }

  #hold(value: T, size: number, node: number): void {
    let holdings = this.#holdings.get(value);
    if (holdings === undefined) {
      holdings = { nodes4: new Set(), nodes6: new Set() };
      this.#holdings.set(value, holdings);
    }
    nodesOf(holdings, size).add(node);
  }

  #release(value: T, size: number, node: number): void {
    const holdings = this.#holdings.get(value);
    if (holdings === undefined) return;
    nodesOf(holdings, size).delete(node);
    if (holdings.nodes4.size + holdings.nodes6.size === 0) this.#holdings.delete(value);
  }
}

function nodesOf(holdings: Holdings, size: number): Set<number> {
  return size === ipv4Size ? holdings.nodes4 : holdings.nodes6;
}
