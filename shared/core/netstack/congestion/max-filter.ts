/** The largest value of the last few rounds: one slot a round, the oldest forgotten. */

export class MaxFilter {
  readonly #slots: Float64Array;
  #round = 0;
  max = 0;

  constructor(rounds: number) {
    this.#slots = new Float64Array(rounds);
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
