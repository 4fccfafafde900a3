// Descriptors of the system, watched from the event loop of the test.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { FdWatch } from '../../../../../shared/node/dataplane/fd-watch.ts';
import { requireLibc } from '../../../../../shared/node/ffi/libc.ts';
import { loadNative } from '../../../../../shared/node/ffi/native.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../../../../../shared/node/ffi/structs.ts';
import { describeWith } from '../../../../support/requires.ts';

const patience = 100;

describeWith({ ffi: true }, 'watching descriptors', () => {
  const open = new Set<number>();
  const watches: FdWatch[] = [];

  afterEach(() => {
    for (const watch of watches.splice(0)) watch.close();
    for (const fd of open) requireLibc().close(fd);
    open.clear();
  });

  function world() {
    const loaded = loadNative();
    if (!loaded.ok) throw new Error(loaded.reason);
    const watch = new FdWatch(loaded.native);
    watches.push(watch);
    let calls = 0;
    watch.onReadable = () => calls++;
    return { watch, calls: () => calls };
  }

  function newFd(): number {
    const fd = requireLibc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open.add(fd);
    return fd;
  }

  function ring(fd: number): void {
    expect(requireLibc().writeBytes(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0))).toBe(8);
  }

  function closeFd(fd: number): void {
    requireLibc().close(fd);
    open.delete(fd);
  }

  async function turns(until: () => boolean = () => false): Promise<void> {
    for (let i = 0; i < patience && !until(); i++) await nextTurn();
  }

  test('names those that have something, as long as they have', async () => {
    const { watch, calls } = world();
    const fds = [newFd(), newFd(), newFd()];
    watch.set(fds);
    await turns();
    expect(calls()).toBe(0);

    ring(fds[0]!);
    ring(fds[2]!);
    await turns(() => calls() >= 2);

    expect(watch.takeReady()).toBe(0b101);
    await turns(() => calls() >= 4);
    expect(watch.takeReady()).toBe(0b101);
  });

  test('goes over to other descriptors, also where the old ones are closed already', async () => {
    const { watch, calls } = world();
    const [before, after] = [newFd(), newFd()];
    watch.set([before]);
    ring(before);
    await turns(() => calls() > 0);

    closeFd(before);
    watch.set([after]);
    await turns();
    expect(watch.takeReady()).toBe(0);
    ring(after);
    await turns(() => calls() > 1);

    expect(watch.takeReady()).toBe(1);
  });

  test('is quiet once it is closed', async () => {
    const { watch, calls } = world();
    const fd = newFd();
    watch.set([fd]);

    watch.close();
    ring(fd);
    await turns();

    expect(calls()).toBe(0);
    expect(() => watch.close()).not.toThrow();
  });
});
