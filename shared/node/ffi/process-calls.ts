/**
 * Symbols of the C library that change the calling process itself, or pass things between processes.
 * Kept apart from libc.ts, which packet workers load: nothing here belongs into a thread.
 */

import { loadNative } from './native.ts';

const signatures = {
  socketpair: 'int socketpair(int domain, int type, int protocol, int *pair)',
  listen: 'int listen(int fd, int backlog)',
  signal: 'intptr_t signal(int number, intptr_t disposition)',
  execvp: 'int execvp(const char *file, const char **words)',
  mount:
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options)',
  unmount: 'int umount2(const char *target, int flags)',
  prctl: 'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  capset: 'int capset(uint8_t *header, uint8_t *sets)',
  fcntl: 'int fcntl(int fd, int command, ...)',
  syscall: 'long syscall(long number, long first, long second)',
} as const;

export interface ProcessCalls {
  /** Two connected sockets, or undefined where the system refuses. */
  socketpair(domain: number, type: number): readonly [number, number] | undefined;
  listen(fd: number, backlog: number): number;
  /** Sets a signal's disposition to the system's default. */
  resetSignal(number: number): void;
  /** Becomes another program, with our environment; PATH is searched. Returns only where it failed. */
  execvp(file: string, words: readonly string[]): number;
  mount(source: string, target: string, type: string | null, flags: number, options: string | null): number;
  unmount(target: string, flags: number): number;
  prctl(option: number, a: number, b: number): number;
  /** Three sets of 64 bits each: effective, permitted, inheritable; all empty. */
  dropCapabilities(): number;
  fcntl(fd: number, command: number, argument: number): number;
  /** A descriptor that becomes readable when the process ends, or -1. */
  pidfdOpen(pid: number): number;
  /** The C errno of the last call. */
  errno(): number;
}

/** The same number on every processor of native.ts. */
const sysPidfdOpen = 434;
/** _LINUX_CAPABILITY_VERSION_3, for a header without process: ourselves. */
const capabilityVersion = 0x2008_0522;

/** Undefined where native calls do not work in this process. Never throws. */
export function processCalls(): ProcessCalls | undefined {
  const loaded = loadNative();
  if (!loaded.ok) return undefined;
  const { self, errno } = loaded.native;
  const socketpair = self.func(signatures.socketpair);
  const signal = self.func(signatures.signal);
  const execvp = self.func(signatures.execvp);
  const prctl = self.func(signatures.prctl);
  const capset = self.func(signatures.capset);
  const fcntl = self.func(signatures.fcntl);
  const syscall = self.func(signatures.syscall);
  return {
    socketpair: (domain, type) => {
      const pair = new Int32Array(2);
      return socketpair(domain, type, 0, pair) === 0 ? [pair[0] ?? -1, pair[1] ?? -1] : undefined;
    },
    listen: self.func(signatures.listen),
    resetSignal: (number) => void signal(number, 0),
    execvp: (file, words) => execvp(file, [...words, null]) as number,
    mount: self.func(signatures.mount),
    unmount: self.func(signatures.unmount),
    prctl: (option, a, b) => prctl(option, a, b, 0, 0) as number,
    dropCapabilities: () => {
      const header = new Uint8Array(8);
      new DataView(header.buffer).setUint32(0, capabilityVersion, true);
      return capset(header, new Uint8Array(24)) as number;
    },
    fcntl: (fd, command, argument) => fcntl(fd, command, 'int', argument) as number,
    pidfdOpen: (pid) => syscall(sysPidfdOpen, pid, 0) as number,
    errno,
  };
}
