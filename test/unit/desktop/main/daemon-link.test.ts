// The daemon's client on fakes: what the window is told when the daemon answers, stops, hangs, forbids or is another.
import { describe, expect, test, vi } from 'vitest';
import type { DaemonView } from '../../../../desktop/bridge/ipc.ts';
import { type Control, DaemonLink } from '../../../../desktop/main/daemon-link.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Status } from '../../../../shared/core/control/status.ts';
import { statusOf } from '../../../support/statuses.ts';

type Mood = 'answers' | 'absent' | 'forbids' | 'hangs' | 'other';

interface Waiting {
  readonly ms: number;
  readonly go: () => void;
}

const place = { control: '/run/a/control.sock', status: '/run/a/status.sock' };
const own = { control: '/home/a/control.sock', status: '/home/a/status.sock' };

/** Daemons by socket, and a clock that only a test moves. */
class World {
  readonly moods = new Map<string, Mood>();
  readonly views: DaemonView[] = [];
  readonly waits: Waiting[] = [];
  readonly called: string[] = [];
  status: Status = statusOf('off');
  readonly #streams = new Set<() => void>();
  readonly link: DaemonLink;

  constructor(places = [place]) {
    this.link = new DaemonLink({
      places,
      connect: (socket) => this.#control(socket),
      wait: (ms, signal) => this.#wait(ms, signal),
      onChange: (view) => void this.views.push(view),
    });
  }

  get last(): DaemonView | undefined {
    return this.views.at(-1);
  }

  /** Ends the waits of that length. */
  pass(ms: number): void {
    for (const waiting of this.waits.filter((one) => one.ms === ms)) waiting.go();
  }

  endStreams(): void {
    for (const end of this.#streams) end();
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        ms,
        go: () => {
          const at = this.waits.indexOf(waiting);
          if (at >= 0) this.waits.splice(at, 1);
          resolve();
        },
      };
      if (signal.aborted) {
        resolve();
        return;
      }
      this.waits.push(waiting);
      signal.addEventListener('abort', waiting.go);
    });
  }

  #control(socket: string): Control {
    return {
      call: async (name) => {
        const mood = this.moods.get(socket) ?? 'absent';
        this.called.push(`${socket} ${name}`);
        if (mood === 'absent') throw new CulvertError('daemon-not-running');
        if (mood === 'forbids') throw new CulvertError('no-permission');
        if (mood === 'hangs') await new Promise(() => undefined);
        if (name === 'trusted') return { ssids: [], wired: false, current: 'Cafe' } as never;
        return (mood === 'other' ? { version: '9', phase: 'up' } : this.status) as never;
      },
      events: (signal) => this.#events(signal),
    };
  }

  async *#events(signal: AbortSignal): AsyncGenerator<Status, void, undefined> {
    yield this.status;
    await new Promise<void>((resolve) => {
      this.#streams.add(resolve);
      signal.addEventListener('abort', () => resolve());
    });
  }
}

describe('the link to the daemon', () => {
  test('shows what the daemon says, with its words, the network and the right to change it', async () => {
    const world = new World();
    world.moods.set(place.control, 'answers');
    void world.link.run();

    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));
    expect(world.last).toMatchObject({ key: 'off', mayChange: true, hasEdge: false, network: 'Cafe' });
    world.link.close();
  });

  test('knows nothing from the moment on that the daemon ends, and tries again in half a second', async () => {
    const world = new World();
    world.moods.set(place.control, 'answers');
    void world.link.run();
    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));

    world.moods.set(place.control, 'absent');
    world.endStreams();

    await vi.waitFor(() => expect(world.last).toEqual({ daemon: 'absent' }));
    await vi.waitFor(() => expect(world.waits.map(({ ms }) => ms)).toContain(500));
    world.moods.set(place.control, 'answers');
    world.pass(500);
    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));
    world.link.close();
  });

  test('waits longer after each failure, three seconds at most', async () => {
    const world = new World();
    void world.link.run();
    const seen: number[] = [];

    for (let round = 0; round < 8; round++) {
      await vi.waitFor(() => expect(world.waits.filter(({ ms }) => ms !== 2400)).toHaveLength(1));
      const [waiting] = world.waits.filter(({ ms }) => ms !== 2400);
      seen.push(waiting?.ms ?? 0);
      waiting?.go();
    }

    expect(seen).toEqual([500, 1000, 1500, 2000, 2500, 3000, 3000, 3000]);
    expect(world.views).toEqual([{ daemon: 'absent' }]);
    world.link.close();
  });

  test('takes a daemon that hangs for one that is gone', async () => {
    const world = new World();
    world.moods.set(place.control, 'answers');
    void world.link.run();
    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));

    world.moods.set(place.control, 'hangs');
    const asked = world.link.refresh();
    world.pass(2400);

    expect(await asked).toEqual({ daemon: 'absent' });
    await expect(world.link.call('connect', {})).rejects.toMatchObject({ code: 'daemon-not-running' });
    world.link.close();
  });

  test('asks one question for all who ask at the same time', async () => {
    const world = new World();
    world.moods.set(place.control, 'answers');
    void world.link.run();
    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));
    world.called.length = 0;

    await Promise.all([world.link.refresh(), world.link.refresh(), world.link.refresh()]);

    expect(world.called).toEqual([`${place.control} status`]);
    world.link.close();
  });

  test('shows the truth to an account that may only look, and lets it change nothing', async () => {
    const world = new World();
    world.moods.set(place.control, 'forbids').set(place.status, 'answers');
    void world.link.run();
    await vi.waitFor(() => expect(world.last).toMatchObject({ daemon: 'answers', mayChange: false }));

    await expect(world.link.call('disconnect')).rejects.toMatchObject({ code: 'no-permission' });
    world.moods.set(place.control, 'answers');
    world.pass(1000);
    await vi.waitFor(() => expect(world.last).toMatchObject({ mayChange: true }));

    expect(world.views.filter(({ daemon }) => daemon !== 'answers')).toEqual([]);
    world.link.close();
  });

  test('says so where the account may not even look', async () => {
    const world = new World();
    world.moods.set(place.control, 'forbids').set(place.status, 'forbids');
    void world.link.run();

    await vi.waitFor(() => expect(world.last).toEqual({ daemon: 'no-permission' }));
    await expect(world.link.call('connect', {})).rejects.toMatchObject({ code: 'no-permission' });
    world.link.close();
  });

  test('builds nothing on a daemon that speaks otherwise', async () => {
    const world = new World();
    world.moods.set(place.control, 'other');
    void world.link.run();

    await vi.waitFor(() => expect(world.views[0]).toEqual({ daemon: 'other-version' }));
    world.link.close();
  });

  test("prefers the person's own daemon to the system's", async () => {
    const world = new World([own, place]);
    world.moods.set(own.control, 'answers').set(place.control, 'answers');
    void world.link.run();
    await vi.waitFor(() => expect(world.last?.daemon).toBe('answers'));

    expect(world.called.every((one) => one.startsWith(own.control))).toBe(true);
    world.link.close();
  });
});
