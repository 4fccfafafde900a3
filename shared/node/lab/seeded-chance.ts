/** Chance that is the same on every run: the generator "small fast counting" (sfc32). Never for secrets. */

/** Rounds before the first number is used, so that near seeds give far numbers. */
const warmUpRounds = 15;

/** Numbers in [0, 1), the same ones for the same seed. `seed` is taken as 32 bits. */
export function seededChance(seed: number): () => number {
  let a = seed | 0;
  let b = (seed ^ 0x5bd1_e995) | 0;
  let c = (seed ^ 0x1b87_3593) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 4_294_967_296;
  };
  for (let i = 0; i < warmUpRounds; i++) next();
  return next;
}
