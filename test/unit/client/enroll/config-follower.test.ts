/** What a device does about what its edge tells it, and where the edge tells nothing. */

import { beforeEach, describe, expect, test } from 'vitest';
import { ConfigFollower } from '../../../../client/enroll/config-follower.ts';
import type { EdgeEvents } from '../../../../client/enroll/edge-events.ts';
import type { ConfigEvent } from '../../../../shared/core/registration/config-events.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

let connected: string | undefined;
let changed: boolean;
let asked: string[];
let reconnected: string[];
/** What the follower waits for: delay and what it does then. */
let waits: { readonly ms: number; readonly run: () => void }[];
let polls: (() => void)[];
let streams: {
  readonly edge: string;
  tell: (event: ConfigEvent) => void;
  end: () => void;
  isClosed: boolean;
}[];
let canListen: boolean;

beforeEach(() => {
  [connected, changed, canListen] = [undefined, false, true];
  [asked, reconnected, waits, polls, streams] = [[], [], [], [], []];
});

function follower(): ConfigFollower {
  return new ConfigFollower({
    enrollment: {
      refresh: (edge) => {
        asked.push(edge);
        return Promise.resolve(changed);
      },
      listen: (edge, onEvent) => {
        if (!canListen) return Promise.reject(new Error('an older edge'));
        let end = (): void => undefined;
        const done = new Promise<void>((resolve) => (end = resolve));
        const stream = { edge, tell: onEvent, end, isClosed: false };
        streams.push(stream);
        const events: EdgeEvents = {
          done,
          close: () => {
            stream.isClosed = true;
            end();
          },
        };
        return Promise.resolve(events);
      },
    },
    connectedTo: () => connected,
    reconnect: (edge) => reconnected.push(edge),
    log: silentLog,
    every: (_ms, run) => {
      polls.push(run);
      return () => undefined;
    },
    after: (ms, run) => {
      const wait = { ms, run };
      waits.push(wait);
      return () => {
        waits = waits.filter((one) => one !== wait);
      };
    },
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

async function connect(to: string | undefined, one: ConfigFollower): Promise<void> {
  connected = to;
  one.handleChange();
  await settle();
}

describe('a device that follows its edge', () => {
  test('asks when it is connected and when the edge says that something changed', async () => {
    const one = follower();
    await connect('home', one);
    expect(asked).toEqual(['home']);

    changed = true;
    streams[0]?.tell({ kind: 'config-changed', revision: 'x' });
    await settle();

    expect([asked, reconnected]).toEqual([['home', 'home'], ['home']]);
  });

  test('knows that an edge ends, tries again soon, and forgets it once it is back', async () => {
    const one = follower();
    await connect('home', one);

    streams[0]?.tell({ kind: 'edge-stopping' });
    expect(one.isEdgeStopping).toBe(true);
    expect(waits.map(({ ms }) => ms)).toEqual([1000]);
    waits[0]?.run();
    expect(reconnected).toEqual(['home']);
    await connect(undefined, one);
    expect(one.isEdgeStopping).toBe(true);
    await connect('home', one);

    expect(one.isEdgeStopping).toBe(false);
  });

  test('waits as long as the edge says, a minute at most', async () => {
    const one = follower();
    await connect('home', one);
    streams[0]?.tell({ kind: 'edge-stopping', backInMs: 7000 });
    expect(waits.map(({ ms }) => ms)).toEqual([7000]);

    streams[0]?.tell({ kind: 'edge-stopping', backInMs: 3_600_000 });

    expect(waits.map(({ ms }) => ms)).toEqual([60_000]);
  });

  test('listens again when the stream ends, less and less often while that fails, and polls meanwhile', async () => {
    canListen = false;
    const one = follower();
    await connect('home', one);
    const delays: number[] = [];
    for (let i = 0; i < 8; i++) {
      const wait = waits.at(-1);
      delays.push(wait?.ms ?? 0);
      wait?.run();
      await settle();
    }
    expect(delays).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    polls[0]?.();
    expect(asked).toEqual(['home', 'home']);

    canListen = true;
    waits.at(-1)?.run();
    await settle();
    streams[0]?.end();
    await settle();

    expect(waits.at(-1)?.ms).toBe(5000);
  });

  test('hangs up where it leaves, and hears nothing of an edge that it has left', async () => {
    const one = follower();
    await connect('home', one);
    await connect('away', one);
    streams[0]?.tell({ kind: 'edge-stopping' });

    expect(streams.map(({ edge, isClosed }) => [edge, isClosed])).toEqual([
      ['home', true],
      ['away', false],
    ]);
    expect(one.isEdgeStopping).toBe(false);
    one.close();
    expect(streams[1]?.isClosed).toBe(true);
  });

  test('forgets the farewell where protection is turned off', async () => {
    const one = follower();
    await connect('home', one);
    streams[0]?.tell({ kind: 'edge-stopping' });

    one.forget();

    expect(one.isEdgeStopping).toBe(false);
  });
});
