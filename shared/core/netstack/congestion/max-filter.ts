/** The largest value of the last few rounds: one slot a round, the oldest forgotten. */

/** By their number, of which the program has one or two. */
const empty = new Map<number, readonly number[]>();

/** The first filling makes it a list of fractions from the beginning. */
function emptySlots(rounds: number): readonly number[] {
  const slots = Array.from({ length: rounds }, () => Number.NaN).fill(0);
  empty.set(rounds, slots);
  return slots;
}

export class MaxFilter {
  readonly #slots: number[];
  #round = 0;
  max = 0;

  constructor(rounds: number) {
    // Not a typed array: of this size it would be memory outside of the heap, which every connection pays for.
    this.#slots = (empty.get(rounds) ?? emptySlots(rounds)).slice();
  }

  /** `round` never goes back. */
  update(round: number, value: number): void {
    const slots = this.#slots;
    // Rounds that passed without a value forget theirs; at most all slots.
    const skipped = Math.min(round - this.#round, slots.length);
    for (let i = 0; i < skipped; i++) slots[(round - i) % slots.length] = 0;
    this.#round = round;
    const slot = round % slots.length;
    if (value > slots[slot]!) slots[slot] = value;
    let max = 0;
    for (let i = 0; i < slots.length; i++) max = Math.max(max, slots[i]!);
    this.max = max;
  }
}
