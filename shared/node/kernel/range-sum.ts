/** The internet checksum's sum by the kernel, for packets of the worker's memory. */

import { assert } from '../../core/base/assert.ts';
import { type RangeSum, sumRange } from '../../core/packet/checksum.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { loadKernel, maxSumLength } from './kernel.ts';

/** The fastest `RangeSum` for `memory`: the kernel's, or the one in plain TypeScript where there is none. */
export function fastRangeSum(memory: WorkerMemory): RangeSum {
  const loaded = loadKernel(memory.wasm);
  if (!loaded.ok) return sumRange;
  const { sum } = loaded.kernel;
  const { bytes: own } = memory;
  return (bytes, offset, length) => {
    if (bytes !== own || length > maxSumLength) return sumRange(bytes, offset, length);
    assert(offset >= 0 && length >= 0 && offset + length <= own.length, 'the range lies inside the memory');
    return sum(offset, length);
  };
}
