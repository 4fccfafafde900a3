// Workers that are started before anybody knows what they shall be: begun later, ended unused, or gone by themselves.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { BlankWorker } from '../../shared/node/dataplane/messages.ts';
import { startBlankThread } from '../../shared/node/dataplane/thread-link.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { startBlankFlow } from '../../shared/node/flows/flow-thread-link.ts';
import { silentLog } from '../../shared/node/silent-log.ts';

const flowEntry = new URL('../support/flow-role-program.ts', import.meta.url);
const packetEntry = new URL('../../client/packet-thread.ts', import.meta.url);
const exitProgram = fileURLToPath(new URL('../support/blank-exit-program.ts', import.meta.url));
const brokenEntry = new URL('data:text/javascript,throw new Error("a bug at the start")');
const flowOptions = { mtu: 1420, addresses: [parseAddress('10.9.0.1')!], acceptAny: false, settings: {} };
const packetOptions = { interfaceName: 'never0', mtu: 1420 };

/** Resolves when a worker that logs here has its cryptography: it waits soon. */
function chosen(): { readonly log: Log; readonly ready: Promise<void> } {
  let readyNow = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    readyNow = resolve;
  });
  const info = (text: string): void => {
    if (text === 'crypto suite chosen') readyNow();
  };
  return { log: { ...silentLog, info }, ready };
}

test('a flow worker that was begun at once and one that waited become the same', async () => {
  const { log, ready } = chosen();
  const waiting = startBlankFlow({ entry: flowEntry, log });
  await ready;

  const late = await waiting.begin(flowOptions);
  const early = await startBlankFlow({ entry: flowEntry, log: silentLog }).begin(flowOptions);

  for (const one of [late, early]) {
    const { dataplane } = await one.status();
    expect(dataplane).toMatchObject({ tun: 'netstack', mtu: 1420 });
    expect(await one.call('usage')).toMatchObject({ connections: 0 });
  }
  await Promise.all([late.stop(), early.stop()]);
});

interface Kind {
  readonly name: string;
  readonly start: (entry?: URL, log?: Log) => BlankWorker<never, never>;
  readonly begin: (worker: BlankWorker<never, never>) => Promise<unknown>;
}

const kinds: readonly Kind[] = [
  {
    name: 'flow',
    start: (entry = flowEntry, log = silentLog) => startBlankFlow({ entry, log }) as never,
    begin: (worker) => worker.begin(flowOptions as never),
  },
  {
    name: 'packet',
    start: (entry = packetEntry, log = silentLog) => startBlankThread({ entry, log }) as never,
    begin: (worker) => worker.begin(packetOptions as never),
  },
];

describe.each(ffiAvailable().ok ? kinds : kinds.slice(0, 1))('a $name worker that nobody began', (kind) => {
  test.each(['at once', 'when it waits'])('ends when it is told to %s, and says nothing', async (when) => {
    const { log, ready } = chosen();
    const worker = kind.start(undefined, log);
    const ends: string[] = [];
    worker.onEnd((why) => ends.push(why));
    if (when !== 'at once') await ready;

    await worker.stop();

    expect(ends).toEqual([]);
    await expect(kind.begin(worker)).rejects.toMatchObject({ code: 'internal' });
  });

  test('says when it ended by itself, and cannot be begun', async () => {
    const worker = kind.start(brokenEntry);

    const [why, detail] = await new Promise<readonly string[]>((resolve) => {
      worker.onEnd((...all) => resolve(all));
    });

    expect([why, detail]).toEqual(['failed', expect.stringContaining('a bug at the start')]);
    await expect(kind.begin(worker)).rejects.toThrow('a bug at the start');
  });

  test('does not keep a process that exits', () => {
    const ended = spawnSync(process.execPath, [exitProgram, kind.name], {
      encoding: 'utf8',
      timeout: 60_000,
    });

    expect({ status: ended.status, signal: ended.signal }, ended.stderr).toEqual({ status: 7, signal: null });
  });
});
