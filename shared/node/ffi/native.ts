/**
 * Loads the FFI library once and says why where it cannot: the one door to native code. Struct
 * layouts in this folder hold for 64-bit little-endian Linux with glibc, so nothing else is let in.
 */

import { createRequire } from 'node:module';
import type { LibraryHandle } from 'koffi';

/** What the rest of this folder uses of the FFI library. */
export interface Native {
  /** Symbols of this very process: libc and the OpenSSL inside the Node executable. */
  readonly self: LibraryHandle;
  /** The C errno of the last native call of this thread. */
  readonly errno: () => number;
  /** Calls back from this thread's event loop, again and again, while the descriptor has something to read. */
  readonly watch: (fd: number, onReadable: () => void) => FdWatcher;
}

export interface FdWatcher {
  /** The descriptor may be closed already. Call once. */
  close(): void;
}

export type NativeVerdict =
  | { readonly ok: true; readonly native: Native }
  | { readonly ok: false; readonly reason: string };

interface Koffi {
  load(path: string | null): LibraryHandle;
  errno(): number;
  sizeof(type: string): number;
  readonly node: {
    poll(fd: number, events: { readonly readable: boolean }, callback: () => void): FdWatcher;
  };
}

/** Processors with the kernel's generic ioctl and errno numbers. */
const supportedProcessors: readonly string[] = ['x64', 'arm64', 'riscv64', 'loong64'];

let verdict: NativeVerdict | undefined;

/** Loads on the first call; later calls of the same thread answer from memory. Never throws. */
export function loadNative(): NativeVerdict {
  verdict ??= tryLoad();
  return verdict;
}

function tryLoad(): NativeVerdict {
  if (process.platform !== 'linux') return refuse(`no native calls on ${process.platform}`);
  if (!supportedProcessors.includes(process.arch)) return refuse(`no struct layouts for ${process.arch}`);
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const self = koffi.load(null);
    if (koffi.sizeof('void *') !== 8) return refuse('pointers are not 64 bits wide');
    if (!isGlibc(self)) return refuse('the C library is not glibc');
    const watch: Native['watch'] = (fd, onReadable) => koffi.node.poll(fd, { readable: true }, onReadable);
    return { ok: true, native: { self, errno: () => koffi.errno(), watch } };
  } catch (error) {
    return refuse(`koffi: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** musl splits sendmmsg into single calls and lays msghdr out differently. */
function isGlibc(self: LibraryHandle): boolean {
  try {
    self.func('const char *gnu_get_libc_version()');
    return true;
  } catch {
    // The symbol is glibc's own; its absence is the answer.
    return false;
  }
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** Symbols of this process by their C signatures, as a table; `whose`: for the reason where one is missing. Never throws. */
export function linkTable<Table>(
  whose: string,
  signatures: Readonly<Record<keyof Table & string, string>>,
): { readonly ok: true; readonly table: Table } | { readonly ok: false; readonly reason: string } {
  const loaded = loadNative();
  if (!loaded.ok) return loaded;
  try {
    const entries = Object.entries<string>(signatures);
    const linked = entries.map(([name, signature]) => [name, loaded.native.self.func(signature)]);
    return { ok: true, table: Object.fromEntries(linked) as Table };
  } catch (error) {
    return refuse(`${whose}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
