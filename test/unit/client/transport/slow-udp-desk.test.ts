/** The desk that moves the tunnel, under a virtual clock. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import type { Transport } from '../../../../client/transport/race.ts';
import { arrivalsAtUs, SlowUdpDesk } from '../../../../client/transport/slow-udp-desk.ts';
import type { Log } from '../../../../shared/core/base/ports.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import type { PeerStatus } from '../../../../shared/core/tunnel/config.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const up: ConnectionState = {
  kind: 'connected',
  reach: 'device',
  edge: 'home',
  endpoints: [],
  provenAt: monoMs(0),
};

let now: number;
let timers: { at: number; work: () => void }[];
let state: ConnectionState;
let transport: Transport;
let told: string[];
let looks: number;
let isAllowed: boolean;
let isTold: boolean;
let rests: number;
let arrived: { bytes: number; received: number; lost: number };
let desk: SlowUdpDesk;

async function seconds(
  count: number,
  each: { bytes: number; received: number; lost: number },
): Promise<void> {
  for (let i = 0; i < count; i++) {
    now += 1000;
    arrived = {
      bytes: arrived.bytes + each.bytes,
      received: arrived.received + each.received,
      lost: arrived.lost + each.lost,
    };
    if (each.lost > 0) desk.handleLoss();
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { work } of due) work();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

const throttled = { bytes: 20_000, received: 15, lost: 3 };

beforeEach(() => {
  now = 0;
  timers = [];
  state = up;
  transport = 'udp';
  told = [];
  looks = 0;
  isAllowed = true;
  isTold = true;
  rests = 0;
  arrived = { bytes: 0, received: 0, lost: 0 };
  desk = new SlowUdpDesk({
    state: () => state,
    arrivals: async () => {
      looks++;
      if (!isTold) return undefined;
      const { bytes, received, lost } = arrived;
      const peer: Partial<PeerStatus> = { rxBytes: bytes, arrivals: { received, lost } };
      return arrivalsAtUs({ peers: [peer as PeerStatus] });
    },
    desk: {
      get transport() {
        return transport;
      },
      handleFault: (fault) => {
        told.push(fault);
        transport = 'tls';
      },
      forgetFault: () => void told.push('forget'),
      takeUdpBack: () => {
        told.push('back');
        transport = 'udp';
      },
    },
    onRest: () => void rests++,
    mayChoose: () => isAllowed,
    clock: { now: () => monoMs(now) },
    log: quiet,
    schedule: (work, delayMs) => {
      const timer = { at: now + delayMs, work };
      timers.push(timer);
      return () => void (timers = timers.filter((one) => one !== timer));
    },
  });
});

describe('the desk of slow UDP', () => {
  it('moves a throttled tunnel to TLS within ten seconds and then sleeps', async () => {
    await seconds(5, throttled);
    await seconds(4, { bytes: 900_000, received: 700, lost: 0 });
    const before = looks;
    await seconds(10, { bytes: 900_000, received: 700, lost: 0 });

    expect(told).toEqual(['slow']);
    expect(looks).toBe(before);
    expect(timers).toEqual([]);
  });

  it('takes the tunnel back where TLS carries no more', async () => {
    await seconds(5, throttled);
    await seconds(8, { bytes: 20_000, received: 15, lost: 0 });

    expect(told).toEqual(['slow', 'back']);
  });

  it('looks at nothing while nothing is lost', async () => {
    await seconds(20, { bytes: 900_000, received: 700, lost: 0 });

    expect([looks, timers.length]).toEqual([0, 0]);
  });

  it('leaves the tunnel where the user chose, or where there is no TLS', async () => {
    isAllowed = false;

    await seconds(20, throttled);

    expect([looks, told]).toEqual([0, []]);
  });

  it('rests where nobody can tell what passes, and says so', async () => {
    isTold = false;

    await seconds(20, throttled);

    expect([looks, told, rests, timers.length]).toEqual([3, [], 1, 0]);
  });

  it('takes the tunnel back where nobody can tell what TLS carries', async () => {
    await seconds(5, throttled);
    isTold = false;
    await seconds(5, throttled);

    expect(told).toEqual(['slow', 'back']);
    expect(timers).toEqual([]);
  });

  it('stops with the tunnel', async () => {
    await seconds(2, throttled);
    state = { kind: 'off' };
    desk.handleChange();

    await seconds(5, { bytes: 0, received: 0, lost: 0 });

    expect([told, timers.length]).toEqual([[], 0]);
  });
});
