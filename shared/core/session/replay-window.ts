/**
 * Which counters of a session were seen already (§5.4.6; the idea of RFC 6479: a ring of blocks of
 * bits, so that moving on clears whole blocks and shifts nothing). Counters are JS numbers below
 * 2^53; nothing here is lost above 2^32. Never allocates after construction.
 */

const bitsPerBlock = 32;
/** A power of two. */
const blockCount = 512;
const blockMask = blockCount - 1;

/** A counter this far behind the greatest one seen can still be accepted. */
export const replayWindowSize: number = (blockCount - 1) * bitsPerBlock;

export class ReplayWindow {
  /** One bit per counter: set where it was seen. */
  readonly #blocks = new Int32Array(blockCount);
  /** Number of the newest block. The ring holds it and the 511 before it. */
  #newest = 0;

  /**
   * Test and set: true the first time that `counter` comes, false where it came before or is too
   * old to know. Call it only after the packet was authenticated.
   */
  accept(counter: number): boolean {
    // Bitwise operators take their operand modulo 2^32, which keeps the low bits right at any size.
    const block = Math.floor(counter / bitsPerBlock);
    const ahead = block - this.#newest;
    if (ahead > 0) this.#advance(block, ahead);
    else if (ahead <= -blockCount) return false;
    const slot = block & blockMask;
    const bit = 1 << (counter & (bitsPerBlock - 1));
    const seen = this.#blocks[slot]!;
    this.#blocks[slot] = seen | bit;
    return (seen & bit) === 0;
  }

  #advance(block: number, ahead: number): void {
    if (ahead >= blockCount) this.#blocks.fill(0);
    else for (let i = 0; i < ahead; i++) this.#blocks[(block - i) & blockMask] = 0;
    this.#newest = block;
  }
}
