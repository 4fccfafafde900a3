/**
 * The one memory of a packet worker: packets, iovecs, message headers, keys in use. It never grows,
 * so its address is taken once and a pointer is `base + offset`. Every offset that came from
 * outside must have been checked against `bytes.length` before it becomes a pointer.
 */

import { assert } from '../../core/base/assert.ts';
import type { Libc, Pointer } from './libc.ts';
import { mapLow } from './low-memory.ts';

/** The part of WebAssembly.Memory that we use; its types belong to the browser's library. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

const wasmPageSize = 65_536;
/** Most that one worker may ask for. */
export const maxMemoryBytes: number = 256 * 1024 * 1024;
const twoTo32 = 4_294_967_296;

export class WorkerMemory {
  /** For a WASM kernel that works on the same bytes. */
  readonly wasm: WasmMemory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The same bytes as 32-bit words of this machine: word `i` is at offset `4 * i`. */
  readonly words: Uint32Array;
  /**
   * Address of `bytes[0]` for native calls; 0 where there is no FFI, and then no pointer may be formed.
   * Below 2 GiB where the system allows it (low-memory.ts).
   */
  readonly base: Pointer;
  #cursor = 64;
  /** Takes back the low address; undefined where there is none. */
  #unmap: (() => void) | undefined;

  /** `sizeBytes` is rounded up to whole WASM pages. Offset 0 is never handed out. */
  constructor(sizeBytes: number, libc: Libc | undefined) {
    assert(sizeBytes > 0 && sizeBytes <= maxMemoryBytes, 'the size of a worker memory is within its limit');
    const pages = Math.ceil(sizeBytes / wasmPageSize);
    const { WebAssembly } = globalThis as unknown as {
      WebAssembly: { Memory: new (limits: { initial: number; maximum: number }) => WasmMemory };
    };
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    const address = libc === undefined ? 0 : libc.addressOf(this.bytes);
    const low = libc === undefined ? undefined : mapLow(libc, { address, length: this.bytes.length });
    this.base = low?.address ?? address;
    this.#unmap = low?.unmap;
  }

  /** Gives the low address back to the process. No pointer may be used afterwards; `bytes` stay. Idempotent. */
  close(): void {
    this.#unmap?.();
    this.#unmap = undefined;
  }

  /** Bytes not handed out yet. */
  get free(): number {
    return this.bytes.length - this.#cursor;
  }

  /** Takes `size` bytes for ever and returns their offset. `align` is a power of two. Asserts that they fit. */
  alloc(size: number, align = 8): number {
    const offset = (this.#cursor + align - 1) & ~(align - 1);
    assert(size >= 0 && offset + size <= this.bytes.length, 'the worker memory is large enough');
    this.#cursor = offset + size;
    return offset;
  }

  /** Writes the address of `target` (an offset) as a 64-bit pointer at `at` (a multiple of 4). */
  putPointer(at: number, target: number): void {
    const address = this.base + target;
    this.words[at >>> 2] = address >>> 0;
    this.words[(at >>> 2) + 1] = Math.floor(address / twoTo32);
  }

  /** Writes a size_t below 2^32 at `at` (a multiple of 4). */
  putSize(at: number, value: number): void {
    this.words[at >>> 2] = value;
    this.words[(at >>> 2) + 1] = 0;
  }
}
