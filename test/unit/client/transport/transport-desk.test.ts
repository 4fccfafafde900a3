/** The desk under a virtual clock, with a tunnel that notes what it is told. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { ConnectionEvent } from '../../../../client/connection/event.ts';
import type { ConnectionState, PeerEndpoint } from '../../../../client/connection/state.ts';
import type { EdgeWays, TransportChoice } from '../../../../client/transport/edge-ways.ts';
import type { Transport } from '../../../../client/transport/race.ts';
import type { TlsRelay } from '../../../../client/transport/tls-relay.ts';
import { TransportDesk } from '../../../../client/transport/transport-desk.ts';
import type { Log } from '../../../../shared/core/base/ports.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const home: PeerEndpoint = { peer: 0, address: '192.0.2.1', port: 51820 };
const relayed: PeerEndpoint = { peer: 0, address: '127.0.0.1', port: 40_001 };
const ways: EdgeWays = { udpPorts: [51820, 443], httpsPorts: [443, 8443], pin: new Uint8Array(32) };

let now: number;
let timers: { at: number; work: () => void }[];
let state: ConnectionState;
let told: string[];
let sent: ConnectionEvent[];
let remembered: Map<string, Transport>;
let choice: TransportChoice;
let isOpening: boolean;
let endRelay: () => void;
let opened: number;
let desk: TransportDesk;

function connecting(phase: 'handshaking' | 'proving' | 'stalled', endpoints = [home]): ConnectionState {
  return {
    kind: 'connecting',
    reach: 'device',
    edge: 'home',
    phase,
    phaseSince: monoMs(0),
    endpoints,
    choices: [home],
    closed: true,
    failures: 0,
    handshaked: false,
    confirmed: false,
  };
}

function connected(endpoints = [home]): ConnectionState {
  const edge = { reach: 'device', edge: 'home' } as const;
  return { kind: 'connected', ...edge, endpoints, choices: [home], provenAt: monoMs(0) };
}

async function become(next: ConnectionState): Promise<void> {
  state = next;
  desk.handleChange();
  await settle();
}

/** Promises of the desk, none of which waits for time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

async function pass(ms: number): Promise<void> {
  const end = now + ms;
  for (;;) {
    const next = timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
    if (next === undefined) break;
    timers = timers.filter((one) => one !== next);
    now = Math.max(now, next.at);
    next.work();
    await settle();
  }
  now = end;
}

beforeEach(() => {
  now = 0;
  timers = [];
  told = [];
  sent = [];
  remembered = new Map();
  choice = 'auto';
  isOpening = true;
  opened = 0;
  endRelay = () => undefined;
  state = { kind: 'off' };
  const places = (all: readonly { address: string; port: number }[]): string =>
    all.map(({ address, port }) => `${address}:${port}`).join(' ') || 'none';
  desk = new TransportDesk({
    state: () => state,
    send: (event) => void sent.push(event),
    tunnelOf: () => ({
      status: async () => ({ listenPort: 5000 }),
      renew: async (endpoints) => void told.push(`${now} renew ${places(endpoints)}`),
      alsoTo: async (all, ask) => void told.push(`${now} ${ask ? 'ask' : 'also'} ${places(all)}`),
    }),
    waysOf: (edge) => (edge === 'home' ? ways : undefined),
    choice: () => choice,
    memory: {
      recall: (network) => remembered.get(network),
      remember: (network, _, transport) => void remembered.set(network, transport),
    },
    network: () => 'v4 eth0 - 192.0.2.7; to eth0 - 192.0.2.7',
    markOf: () => 7,
    openRelay: async (plan, _signal, onEnd) => {
      opened++;
      if (!isOpening) throw new Error('closed');
      endRelay = onEnd;
      expect(plan).toMatchObject({ edgePort: 51820, tunnelPort: 5000, mark: 7 });
      return {
        place: { address: relayed.address, port: relayed.port },
        edge: { address: '192.0.2.1', port: 443 },
        isOpen: true,
        holdInitiations: (holds: boolean) => void told.push(`${now} ${holds ? 'hold' : 'let'}`),
        close: () => void told.push(`${now} close`),
      } as unknown as TlsRelay;
    },
    clock: { now: () => monoMs(now) },
    log: quiet,
    schedule: (work, delayMs) => {
      const timer = { at: now + delayMs, work };
      timers.push(timer);
      return () => void (timers = timers.filter((one) => one !== timer));
    },
  });
});

describe('the desk of transports', () => {
  it('asks the other UDP port after a moment and TLS after a second', async () => {
    await become(connecting('handshaking'));
    await pass(1500);

    expect(told).toEqual(['250 also 192.0.2.1:443', '1000 also 127.0.0.1:40001']);
  });

  it('asks nobody else once UDP answered', async () => {
    await become(connecting('handshaking'));
    await pass(300);
    await become(connected());
    await pass(5000);

    expect([told.length, opened, desk.transport]).toEqual([1, 0, 'udp']);
    expect([...remembered]).toEqual([['v4 eth0 - 192.0.2.7', 'udp']]);
  });

  it('remembers a network that needed TLS, and begins with it there', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected([relayed]));
    expect(desk.transport).toBe('tls');
    expect(desk.outside([relayed])).toEqual([{ peer: 0, address: '192.0.2.1', port: 443 }]);
    await become({ kind: 'off' });

    told = [];
    await become(connecting('handshaking'));

    expect(told).toEqual(['1100 also 127.0.0.1:40001']);
  });

  it('tries TLS again and again while nothing answers', async () => {
    isOpening = false;
    await become(connecting('handshaking'));
    await pass(5000);
    isOpening = true;
    await pass(3000);

    expect(opened).toBe(3);
    expect(told.at(-1)).toBe('7000 also 127.0.0.1:40001');
  });

  it('takes TLS where UDP lets handshakes through and nothing else', async () => {
    choice = 'auto';
    isOpening = false;
    await become(connecting('handshaking'));
    await become(connecting('proving'));
    isOpening = true;
    await pass(4500);

    expect(told).toContain('4000 renew 127.0.0.1:40001');
    expect(sent).toEqual([{ kind: 'roamed', endpoints: [relayed] }]);
  });

  it('asks UDP half a minute later, by a handshake that TLS does not carry, and then less often', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected([relayed]));
    told = [];

    await pass(100_000);

    expect(told).toEqual([
      '31100 hold',
      '31100 ask 192.0.2.1:51820 192.0.2.1:443',
      '34100 let',
      '34100 also none',
      '94100 hold',
      '94100 ask 192.0.2.1:51820 192.0.2.1:443',
      '97100 let',
      '97100 also none',
    ]);
  });

  it('lets TLS go a moment after UDP answered', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected([relayed]));
    await pass(31_000);
    told = [];

    await become(connected());
    expect(told).toEqual([]);
    await pass(60_000);

    expect(told).toEqual(['35100 close']);
    expect(desk.transport).toBe('udp');
    expect(remembered.get('v4 eth0 - 192.0.2.7')).toBe('udp');
  });

  it('keeps TLS where its answer makes the tunnel stand before it is told by which way it came', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected());
    await pass(1000);
    await become(connected([relayed]));
    await pass(10_000);

    expect(told).not.toContain('4100 close');
    expect([desk.transport, remembered.get('v4 eth0 - 192.0.2.7')]).toEqual(['tls', 'tls']);
  });

  it('asks every way at once where the connection in TLS ends', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected([relayed]));
    told = [];

    endRelay();
    await settle();
    // Whatever else changes meanwhile: this is no tunnel over UDP.
    await become(connected([relayed]));

    expect(told).toEqual(['1100 ask 192.0.2.1:51820 192.0.2.1:443', '1100 also 127.0.0.1:40001']);
    expect(remembered.get('v4 eth0 - 192.0.2.7')).toBe('tls');
  });

  it('begins anew in another network', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become(connected([relayed]));
    told = [];

    desk.handleMove();
    await settle();

    expect(told.slice(0, 2)).toEqual(['1100 close', '1100 ask 192.0.2.1:51820 192.0.2.1:443']);
    expect(opened).toBe(2);
  });

  it('leaves UDP where that is no good, and does not come back at once', async () => {
    await become(connecting('handshaking'));
    await become(connected());

    desk.handleFault('large-lost');
    await settle();
    await become(connected([relayed]));
    told = [];
    await pass(500_000);

    expect(sent).toEqual([{ kind: 'roamed', endpoints: [relayed] }]);
    expect(told).toEqual([]);
  });

  it('tries UDP that was slow again after minutes, and the longer the oftener it was', async () => {
    await become(connecting('handshaking'));
    await become(connected());
    const waits: number[] = [];

    for (let i = 0; i < 3; i++) {
      desk.handleFault('slow');
      await settle();
      await become(connected([relayed]));
      const from = now;
      told = [];
      for (let s = 0; s < 3600 && !told.some((line) => line.includes(' ask ')); s++) await pass(1000);
      waits.push(Math.round((now - from) / 60_000));
      await become(connected());
      await pass(5000);
      await become(connected());
    }

    expect(waits).toEqual([5, 10, 20]);
    expect(desk.fault).toBeUndefined();
  });

  it('takes UDP back at once where TLS was no better', async () => {
    await become(connecting('handshaking'));
    await become(connected());
    desk.handleFault('slow');
    await settle();
    await become(connected([relayed]));
    expect(desk.fault).toBe('slow');
    told = [];

    desk.takeUdpBack();
    await settle();
    await become(connected());
    await pass(5000);

    expect(told).toEqual(['0 hold', '0 ask 192.0.2.1:51820 192.0.2.1:443', '3000 close']);
    expect([desk.transport, desk.fault]).toEqual(['udp', undefined]);
  });

  it('forgets that UDP was slow where TLS cannot be had', async () => {
    isOpening = false;
    await become(connecting('handshaking'));
    await become(connected());
    desk.handleFault('slow');
    await settle();

    desk.forgetFault();

    expect([desk.transport, desk.fault]).toEqual(['udp', undefined]);
  });

  it('does what the user chose', async () => {
    choice = 'udp';
    await become(connecting('handshaking'));
    await pass(20_000);
    desk.handleFault('large-lost');
    expect([opened, desk.openings('home').tcp]).toEqual([0, []]);

    await become({ kind: 'off' });
    choice = 'tls';
    await become(connecting('handshaking'));
    expect([opened, desk.openings('home').udp]).toEqual([1, []]);
  });

  it('names what the firewall must let out, of the edge in use alone', async () => {
    await become(connecting('handshaking'));

    expect(desk.openings('home')).toEqual({
      udp: [
        { address: '192.0.2.1', port: 51820 },
        { address: '192.0.2.1', port: 443 },
      ],
      tcp: [
        { address: '192.0.2.1', port: 443 },
        { address: '192.0.2.1', port: 8443 },
      ],
    });
    expect(desk.openings('work')).toEqual({ udp: [], tcp: [] });
  });

  it('has no ways of an imported edge, and leaves it alone', async () => {
    await become({ ...connecting('handshaking'), edge: 'imported' } as ConnectionState);
    await pass(20_000);

    expect([told, opened]).toEqual([[], 0]);
  });

  it('stops with the tunnel', async () => {
    await become(connecting('handshaking'));
    await pass(1100);
    await become({ kind: 'off' });
    await pass(60_000);

    expect(told.at(-1)).toBe('1100 close');
    expect(timers).toEqual([]);
  });
});
