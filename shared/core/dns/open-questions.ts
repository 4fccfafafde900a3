/**
 * Questions that are under way on one connection or to one upstream, by number and in the order of asking. No Map: its
 * old tables would hold on to what is answered long since (key-table.ts).
 */

import { assert } from '../base/assert.ts';

/** Numbers are those of DNS messages: 16 bits. */
const numbers = 0x1_0000;
const firstPlaces = 128;
const none = -1;

export class OpenQuestions<T> {
  /** By the lower bits of the number. */
  #open: (T | undefined)[] = emptyPlaces(firstPlaces);
  /** Of each place: its number, and the places of those that were asked before and after. */
  #numbers: Uint16Array = new Uint16Array(firstPlaces);
  #older: Int32Array = new Int32Array(firstPlaces);
  #newer: Int32Array = new Int32Array(firstPlaces);
  #oldest = none;
  #newest = none;
  #next: number;
  #size = 0;

  /** `first`: numbers are counted from there on. */
  constructor(first: number) {
    this.#next = first % numbers;
  }

  get size(): number {
    return this.#size;
  }

  /** The one that was asked first. */
  get oldest(): T | undefined {
    return this.#oldest === none ? undefined : this.#open[this.#oldest];
  }

  get oldestNumber(): number {
    return this.#oldest === none ? none : this.#numbers[this.#oldest]!;
  }

  /** Returns its number, one that is free and was not in use lately. The owner bounds how many are open: half of all. */
  add(question: T): number {
    assert(this.#size < numbers / 2, 'a number is free');
    if (2 * this.#size >= this.#open.length) this.#grow();
    const mask = this.#open.length - 1;
    do this.#next = (this.#next + 1) % numbers;
    while (this.#open[this.#next & mask] !== undefined);
    this.#size++;
    this.#put(this.#next, question);
    return this.#next;
  }

  get(number: number): T | undefined {
    const place = number & (this.#open.length - 1);
    return this.#numbers[place] === number ? this.#open[place] : undefined;
  }

  /** Does nothing where it is not open. */
  remove(number: number): void {
    if (this.get(number) === undefined) return;
    const place = number & (this.#open.length - 1);
    this.#open[place] = undefined;
    this.#size--;
    const before = this.#older[place]!;
    const behind = this.#newer[place]!;
    if (before === none) this.#oldest = behind;
    else this.#newer[before] = behind;
    if (behind === none) this.#newest = before;
    else this.#older[behind] = before;
  }

  /** All, in the order of asking. */
  list(): T[] {
    const all: T[] = [];
    for (let place = this.#oldest; place !== none; place = this.#newer[place]!) all.push(this.#open[place]!);
    return all;
  }

  #put(number: number, question: T): void {
    const place = number & (this.#open.length - 1);
    this.#open[place] = question;
    this.#numbers[place] = number;
    this.#older[place] = this.#newest;
    this.#newer[place] = none;
    if (this.#newest === none) this.#oldest = place;
    else this.#newer[this.#newest] = place;
    this.#newest = place;
  }

  /** Numbers that differed in fewer bits differ in more. */
  #grow(): void {
    const open = this.#open;
    const old = this.#numbers;
    const newer = this.#newer;
    const places = 2 * open.length;
    let place = this.#oldest;
    this.#open = emptyPlaces(places);
    this.#numbers = new Uint16Array(places);
    this.#older = new Int32Array(places);
    this.#newer = new Int32Array(places);
    this.#oldest = none;
    this.#newest = none;
    for (; place !== none; place = newer[place]!) this.#put(old[place]!, open[place]!);
  }
}

function emptyPlaces<T>(count: number): (T | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
