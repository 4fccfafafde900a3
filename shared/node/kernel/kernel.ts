/**
 * The WebAssembly kernel on a worker's memory: ChaCha20-Poly1305 in place and the internet checksum's
 * sum. Its source is in source/, its bytes in kernel-binary.ts. It checks no bounds beyond those of the
 * memory: callers check that packets lie where they should.
 */

import type { WasmMemory } from '../ffi/memory.ts';
import { kernelBase64 } from './kernel-binary.ts';

/** Offsets are bytes of the memory given to `loadKernel`. */
export interface Kernel {
  /** Size of a context: 32 bytes of key, then what the kernel needs; all but the key begins as zeros. */
  readonly contextBytes: number;
  /** Seals `length` bytes at `at` and writes the tag behind them. `counter` is a whole number below 2^53. */
  seal(
    context: number,
    at: number,
    length: number,
    counter: number,
    additional: number,
    additionalLength: number,
  ): void;
  /** Opens in place. 1, or 0 where the tag is wrong: the bytes are garbage then. */
  open(
    context: number,
    at: number,
    length: number,
    counter: number,
    additional: number,
    additionalLength: number,
  ): number;
  /** As core's `sumRange`; `length` is at most `maxSumLength`. */
  sum(at: number, length: number): number;
}

/** Longest range that `sum` is exact for. */
export const maxSumLength: number = 1 << 18;

export type KernelVerdict =
  | { readonly ok: true; readonly kernel: Kernel }
  | { readonly ok: false; readonly reason: string };

/** The part of WebAssembly that we use; its types belong to the browser's library. */
interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: WasmMemory } },
  ) => { readonly exports: object };
}

interface Exports extends Omit<Kernel, 'contextBytes'> {
  readonly contextBytes: { readonly value: number };
}

let compiled: object | undefined;

/** An instance on `memory`, or why there is none: no WebAssembly, or none with vectors. Never throws. */
export function loadKernel(memory: WasmMemory): KernelVerdict {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly?: WasmApi };
  if (WebAssembly === undefined) return { ok: false, reason: 'this Node runs no WebAssembly' };
  try {
    compiled ??= new WebAssembly.Module(Buffer.from(kernelBase64, 'base64'));
    const instance = new WebAssembly.Instance(compiled, { env: { memory } });
    const exports = instance.exports as Exports;
    const { seal, open, sum } = exports;
    return { ok: true, kernel: { contextBytes: exports.contextBytes.value, seal, open, sum } };
  } catch (error) {
    return { ok: false, reason: `wasm: ${error instanceof Error ? error.message : String(error)}` };
  }
}
