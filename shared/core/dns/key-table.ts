/**
 * Values by key for what comes and goes many thousand times a second. A Map leaves its old tables behind, each holding
 * the next one and so everything that was in it, until a full collection: half of all that passes through grows old
 * there. Here a place that is given up is empty. Never shrinks; how many there may be is the owner's to bound.
 */

const firstPlaces = 64;

export class KeyTable<T> {
  readonly #seed: number;
  /** Open addressing, each as near behind its own place as others let it be. */
  #keys: (string | undefined)[] = emptyPlaces(firstPlaces);
  #values: (T | undefined)[] = emptyPlaces(firstPlaces);
  #hashes: Int32Array = new Int32Array(firstPlaces);
  #size = 0;

  /** `seed`: any 32 bits that nobody knows, against keys that were chosen to meet. */
  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): T | undefined {
    return this.#values[this.#placeOf(key, keyHash(key, this.#seed))];
  }

  set(key: string, value: T): void {
    if (2 * this.#size >= this.#keys.length) this.#grow();
    const hash = keyHash(key, this.#seed);
    const place = this.#placeOf(key, hash);
    if (this.#keys[place] === undefined) this.#size++;
    this.#put(place, key, value, hash);
  }

  /** Takes the value out; undefined where there is none. */
  take(key: string): T | undefined {
    let hole = this.#placeOf(key, keyHash(key, this.#seed));
    const value = this.#values[hole];
    if (this.#keys[hole] === undefined) return undefined;
    this.#size--;
    const mask = this.#keys.length - 1;
    // Those behind move up where that brings them no further forward than their own place.
    for (let i = (hole + 1) & mask; this.#keys[i] !== undefined; i = (i + 1) & mask) {
      const own = this.#hashes[i]! & mask;
      if (((i - own) & mask) < ((i - hole) & mask)) continue;
      this.#keys[hole] = this.#keys[i];
      this.#values[hole] = this.#values[i];
      this.#hashes[hole] = this.#hashes[i]!;
      hole = i;
    }
    this.#keys[hole] = undefined;
    this.#values[hole] = undefined;
    return value;
  }

  /** Its own place, or the one to put it in. At most half of all are taken, so there is one. */
  #placeOf(key: string, hash: number): number {
    const mask = this.#keys.length - 1;
    let place = hash & mask;
    for (;;) {
      const other = this.#keys[place];
      if (other === undefined || (this.#hashes[place] === hash && other === key)) return place;
      place = (place + 1) & mask;
    }
  }

  #put(place: number, key: string, value: T | undefined, hash: number): void {
    this.#keys[place] = key;
    this.#values[place] = value;
    this.#hashes[place] = hash;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const hashes = this.#hashes;
    this.#keys = emptyPlaces(2 * keys.length);
    this.#values = emptyPlaces(2 * keys.length);
    this.#hashes = new Int32Array(2 * keys.length);
    for (const [i, key] of keys.entries()) {
      if (key !== undefined) this.#put(this.#placeOf(key, hashes[i]!), key, values[i], hashes[i]!);
    }
  }
}

/** 32 bits; equal for equal keys and seeds. */
export function keyHash(key: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < key.length; i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x5bd1_e995);
    hash ^= hash >>> 15;
  }
  return hash;
}

function emptyPlaces<T>(count: number): (T | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
