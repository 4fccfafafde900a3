/**
 * Every symbol of the C library that we call, in one table with its C signature. Pointers travel as
 * Numbers (an address of worker memory). Whoever calls checks the result and reads errno at once.
 */

import { CulvertError } from '../../core/control/codes.ts';
import { loadNative } from './native.ts';

/** A C address as a Number. User space addresses stay below 2^53. */
export type Pointer = number;

const signatures = {
  socket: 'int socket(int domain, int type, int protocol)',
  socketpair: 'int socketpair(int domain, int type, int protocol, uintptr_t pair)',
  bind: 'int bind(int fd, uintptr_t address, uint32_t length)',
  connect: 'int connect(int fd, uintptr_t address, uint32_t length)',
  getsockname: 'int getsockname(int fd, uintptr_t address, uintptr_t length)',
  setsockopt: 'int setsockopt(int fd, int level, int name, uintptr_t value, uint32_t length)',
  getsockopt: 'int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t length)',
  recvmmsg: 'int recvmmsg(int fd, uintptr_t messages, uint32_t count, int flags, uintptr_t timeout)',
  sendmmsg: 'int sendmmsg(int fd, uintptr_t messages, uint32_t count, int flags)',
  open: 'int open(const char *path, int flags, ...)',
  read: 'intptr_t read(int fd, uintptr_t bytes, size_t length)',
  write: 'intptr_t write(int fd, uintptr_t bytes, size_t length)',
  writeBytes: 'intptr_t write(int fd, uint8_t *bytes, size_t length)',
  writev: 'intptr_t writev(int fd, uintptr_t vectors, int count)',
  close: 'int close(int fd)',
  poll: 'int poll(uintptr_t fds, unsigned long count, int timeoutMs)',
  usleep: 'int usleep(uint32_t microseconds)',
  prctl: 'int prctl(int option, unsigned long value)',
  ioctl: 'int ioctl(int fd, unsigned long request, ...)',
  fcntl: 'int fcntl(int fd, int command, ...)',
  eventfd: 'int eventfd(uint32_t initial, int flags)',
  memfdCreate: 'int memfd_create(const char *name, unsigned int flags)',
  ftruncate: 'int ftruncate(int fd, int64_t length)',
  mmap: 'intptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(uintptr_t address, size_t length)',
  madvise: 'int madvise(uintptr_t address, size_t length, int advice)',
  mallocTrim: 'int malloc_trim(size_t keep)',
  clockGettime: 'int clock_gettime(int clock, uintptr_t time)',
  addressOf: 'uintptr_t memmove(uint8_t *to, uint8_t *from, size_t length)',
} as const;

/** Where to map: `address` is a wish, or with MAP_FIXED a must. */
export interface MapPlace {
  readonly address: Pointer;
  readonly length: number;
}

export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  /** Writes two descriptors (8 bytes) to `pair`. */
  socketpair(domain: number, type: number, protocol: number, pair: Pointer): number;
  bind(fd: number, address: Pointer, length: number): number;
  connect(fd: number, address: Pointer, length: number): number;
  getsockname(fd: number, address: Pointer, length: Pointer): number;
  setsockopt(fd: number, level: number, name: number, value: Pointer, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Pointer, length: Pointer): number;
  recvmmsg(fd: number, messages: Pointer, count: number, flags: number, timeout: Pointer): number;
  sendmmsg(fd: number, messages: Pointer, count: number, flags: number): number;
  /** Opens a file that exists. */
  open(path: string, flags: number): number;
  read(fd: number, bytes: Pointer, length: number): number;
  write(fd: number, bytes: Pointer, length: number): number;
  /** Writes an array that is not worker memory, for example to nudge another thread's eventfd. */
  writeBytes(fd: number, bytes: Uint8Array): number;
  writev(fd: number, vectors: Pointer, count: number): number;
  close(fd: number): number;
  /** Blocks the thread for up to `timeoutMs`; never pass -1 (a blocked worker cannot be ended). */
  poll(fds: Pointer, count: number, timeoutMs: number): number;
  /** Blocks the thread for so long, at least. */
  usleep(microseconds: number): number;
  prctl(option: number, value: number): number;
  /** The argument is a pointer, or a number that the request takes by value. */
  ioctl(fd: number, request: number, argument: Pointer): number;
  fcntl(fd: number, command: number, argument: number): number;
  eventfd(initial: number, flags: number): number;
  /** Memory that has a descriptor; `name` is only for /proc. */
  memfdCreate(name: string, flags: number): number;
  ftruncate(fd: number, length: number): number;
  /** Returns the address, or -1. The fields as in C; the offset is 0. */
  mmap(place: MapPlace, protection: number, flags: number, fd: number): Pointer;
  munmap(address: Pointer, length: number): number;
  /** Whole pages. MADV_DONTNEED forgets what was written to private ones. */
  madvise(address: Pointer, length: number, advice: number): number;
  /** Gives free memory of the C heap, all threads', back to the system, but for `keep` bytes. */
  mallocTrim(keep: number): number;
  /** Writes a struct timespec (16 bytes) to `time`. */
  clockGettime(clock: number, time: Pointer): number;
  /** Where the first byte of `bytes` lies. Holds only for memory that never moves. */
  addressOf(bytes: Uint8Array): Pointer;
  /** The C errno of the last call. */
  errno(): number;
}

export type FfiVerdict =
  | { readonly ok: true; readonly libc: Libc }
  | { readonly ok: false; readonly reason: string };

let verdict: FfiVerdict | undefined;

/** Whether native calls work in this process, and the table where they do. Never throws. */
export function ffiAvailable(): FfiVerdict {
  verdict ??= link();
  return verdict;
}

/** The table, or CulvertError 'ffi-unavailable' with the reason. */
export function requireLibc(): Libc {
  const found = ffiAvailable();
  if (found.ok) return found.libc;
  throw new CulvertError('ffi-unavailable', { text: `Native calls do not work here: ${found.reason}.` });
}

function link(): FfiVerdict {
  const loaded = loadNative();
  if (!loaded.ok) return loaded;
  const { self, errno } = loaded.native;
  try {
    const open = self.func(signatures.open);
    const ioctl = self.func(signatures.ioctl);
    const fcntl = self.func(signatures.fcntl);
    const memmove = self.func(signatures.addressOf);
    const writeBytes = self.func(signatures.writeBytes);
    const mmap = self.func(signatures.mmap);
    const libc: Libc = {
      socket: self.func(signatures.socket),
      socketpair: self.func(signatures.socketpair),
      bind: self.func(signatures.bind),
      connect: self.func(signatures.connect),
      getsockname: self.func(signatures.getsockname),
      setsockopt: self.func(signatures.setsockopt),
      getsockopt: self.func(signatures.getsockopt),
      recvmmsg: self.func(signatures.recvmmsg),
      sendmmsg: self.func(signatures.sendmmsg),
      open: (path, flags) => open(path, flags) as number,
      read: self.func(signatures.read),
      write: self.func(signatures.write),
      writeBytes: (fd, bytes) => writeBytes(fd, bytes, bytes.length) as number,
      writev: self.func(signatures.writev),
      close: self.func(signatures.close),
      poll: self.func(signatures.poll),
      usleep: self.func(signatures.usleep),
      prctl: self.func(signatures.prctl),
      ioctl: (fd, request, argument) => ioctl(fd, request, 'uintptr_t', argument) as number,
      fcntl: (fd, command, argument) => fcntl(fd, command, 'int', argument) as number,
      eventfd: self.func(signatures.eventfd),
      memfdCreate: self.func(signatures.memfdCreate),
      ftruncate: self.func(signatures.ftruncate),
      mmap: ({ address, length }, protection, flags, fd) =>
        mmap(address, length, protection, flags, fd, 0) as Pointer,
      munmap: self.func(signatures.munmap),
      madvise: self.func(signatures.madvise),
      mallocTrim: self.func(signatures.mallocTrim),
      clockGettime: self.func(signatures.clockGettime),
      addressOf: (bytes) => memmove(bytes, bytes, 0) as number,
      errno,
    };
    return { ok: true, libc };
  } catch (error) {
    return { ok: false, reason: `koffi: ${error instanceof Error ? error.message : String(error)}` };
  }
}
