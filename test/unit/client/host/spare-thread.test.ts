// The worker that is kept ready while nothing is connected: one at a time, of the kind that a connection would take.
import { beforeEach, describe, expect, test } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { SpareThread } from '../../../../client/host/spare-thread.ts';
import type { BlankThread } from '../../../../shared/node/dataplane/thread-link.ts';
import type { BlankFlow } from '../../../../shared/node/flows/flow-thread-link.ts';
import { beginningState, connectedState } from '../../../support/connection-states.ts';

const off: ConnectionState = { kind: 'off' };
const connecting: ConnectionState = beginningState;
const connected: ConnectionState = connectedState;

let done: string[] = [];
let wanted: 'device' | 'proxy' | undefined;
let timer: { readonly delayMs: number; readonly work: () => void } | undefined;
let end: ((why: 'gone' | 'failed', detail: string) => void) | undefined;
let fails = false;

/** Only what the room under test uses of it. */
function blank(kind: string): BlankThread & BlankFlow {
  if (fails) throw new Error('no native calls');
  done.push(`start ${kind}`);
  return {
    onEnd: (listener) => {
      end = listener;
    },
    stop: async () => void done.push(`stop ${kind}`),
    begin: () => Promise.reject(new Error('not here')),
  };
}

function make(): SpareThread {
  return new SpareThread({
    start: { device: () => blank('device'), proxy: () => blank('proxy') },
    wanted: () => wanted,
    schedule: (delayMs, work) => {
      const own = { delayMs, work };
      timer = own;
      return () => {
        if (timer === own) timer = undefined;
      };
    },
    log: {
      debug: (text) => void done.push(`debug ${text}`),
      info: () => undefined,
      warn: (text) => void done.push(`warn ${text}`),
      error: () => undefined,
    },
  });
}

function elapse(): void {
  const { work } = timer ?? {};
  timer = undefined;
  work?.();
}

beforeEach(() => {
  done = [];
  wanted = 'device';
  timer = end = undefined;
  fails = false;
});

describe('a worker that is kept ready', () => {
  test('is there at once when the daemon starts, and is taken once', () => {
    const spare = make();
    spare.handleChange(off);

    const other = spare.take('proxy');
    const first = spare.take('device');
    const second = spare.take('device');

    expect(done).toEqual(['start device']);
    expect(other).toBeUndefined();
    expect(first).toBeDefined();
    expect(second).toBeUndefined();
  });

  test('stays for a connection that begins, and goes where it connects without it', () => {
    const spare = make();
    spare.handleChange(off);
    spare.handleChange(connecting);
    const before = [...done];

    spare.handleChange(connected);

    expect(before).toEqual(['start device']);
    expect(done).toEqual(['start device', 'stop device']);
  });

  test('is followed by another one some seconds after the connection has ended, not before', () => {
    const spare = make();
    spare.handleChange(off);
    spare.handleChange(connecting);
    spare.take('device');
    spare.handleChange(connected);
    spare.handleChange({ kind: 'disconnecting', reach: 'device' });
    spare.handleChange(off);
    spare.handleChange({ ...off });
    const before = [...done];
    const delayMs = timer?.delayMs;

    elapse();

    expect(before).toEqual(['start device']);
    expect(delayMs).toBeGreaterThan(1000);
    expect(done).toEqual(['start device', 'start device']);
  });

  test('is not prepared where the next connection begins before its time', () => {
    const spare = make();
    spare.handleChange(connected);
    spare.handleChange(off);
    spare.handleChange(connecting);

    elapse();

    expect(timer).toBeUndefined();
    expect(done).toEqual([]);
  });

  test('is replaced a while after a change of mode, and goes where the mode needs none', () => {
    const spare = make();
    spare.handleChange(off);
    wanted = 'proxy';
    spare.handleSettings();
    const before = [...done];
    elapse();
    const meanwhile = [...done];
    wanted = undefined;
    spare.handleSettings();
    elapse();
    spare.handleSettings();

    expect(before).toEqual(['start device']);
    expect(meanwhile).toEqual(['start device', 'stop device', 'start proxy']);
    expect(done).toEqual([...meanwhile, 'stop proxy']);
    expect(timer).toBeUndefined();
  });

  test('is not asked for by settings while a connection stands', () => {
    const spare = make();
    spare.handleChange(connected);
    wanted = 'proxy';
    spare.handleSettings();

    expect(timer).toBeUndefined();
  });

  test('that ends by itself is said, and nobody is given it', () => {
    const spare = make();
    spare.handleChange(off);

    end?.('failed', 'a bug');

    expect(spare.take('device')).toBeUndefined();
    expect(done).toEqual(['start device', 'warn the worker that was kept ready ended by itself']);
  });

  test('that was taken is no longer ours to speak of', () => {
    const spare = make();
    spare.handleChange(off);
    spare.take('device');

    end?.('failed', 'a bug');
    spare.close();

    expect(done).toEqual(['start device']);
  });

  test('that cannot be started is left to whoever connects', () => {
    const spare = make();
    fails = true;
    spare.handleChange(off);

    expect(spare.take('device')).toBeUndefined();
    expect(done).toEqual(['debug no worker can be kept ready']);
  });

  test('ends with the daemon, and none follows', () => {
    const spare = make();
    spare.handleChange(off);
    spare.close();
    spare.handleChange(connected);
    spare.handleChange(off);
    elapse();

    expect(done).toEqual(['start device', 'stop device']);
  });
});
