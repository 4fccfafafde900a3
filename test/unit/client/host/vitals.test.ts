// What is done about a tunnel while it lives, stalls and is back: here, for the size of its packets.
import { describe, expect, test } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import type { TunnelPort } from '../../../../client/driver/ports.ts';
import { hostHealth } from '../../../../client/host/surroundings.ts';
import { Vitals } from '../../../../client/host/vitals.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const endpoints = [{ peer: 0, address: '203.0.113.1', port: 51820 }];
const about = { reach: 'device', edge: 'home', endpoints } as const;
const connected: ConnectionState = { kind: 'connected', ...about, provenAt: monoMs(0) };
const stalled: ConnectionState = {
  kind: 'connecting',
  ...about,
  phase: 'stalled',
  phaseSince: monoMs(0),
  closed: true,
  failures: 0,
  handshaked: false,
  confirmed: false,
};

function world(tunnel?: Pick<TunnelPort, 'status' | 'rest'>) {
  const done: string[] = [];
  let state: ConnectionState = { kind: 'off' };
  const note = (what: string) => () => void done.push(what);
  const vitals = new Vitals({
    state: () => state,
    send: () => undefined,
    tunnelOf: () => {
      if (tunnel !== undefined) return tunnel as TunnelPort;
      throw new Error('nobody looks at the tunnel here');
    },
    habitsOf: () => ({ answersProbes: true, peers: 1, announced: true }),
    onHeard: () => undefined,
    mtu: {
      start: note('start'),
      stop: note('stop'),
      pause: note('pause'),
      resume: note('resume'),
      handleMove: note('ask again'),
      handleSuspicion: note('suspect'),
    },
    mtuPlanFor: () => ({
      address: '10.83.0.1',
      port: 53,
      from: '10.83.0.2',
      interfaceName: 'cv',
      most: 1420,
    }),
    clock: { kind: 'process', now: () => monoMs(0), unix: () => unixMs(0) },
    log: silentLog,
  });
  return {
    done,
    vitals,
    become: (next: ConnectionState) => {
      state = next;
      vitals.handleChange();
    },
  };
}

describe('the size of packets', () => {
  test('is not asked while the edge is silent: what is lost then says nothing', () => {
    const { done, vitals, become } = world();

    become(connected);
    become(stalled);
    become(connected);
    become({ ...connected, provenAt: monoMs(1) });
    vitals.close();

    expect(done).toEqual(['resume', 'start', 'pause', 'resume', 'resume', 'stop']);
  });

  test('is a matter of health only while the edge answers', () => {
    const options = {
      network: () => undefined,
      wifi: { isWifi: () => false, ssid: async () => undefined },
      own: () => [],
      tunnelPrefixes: () => [],
      isLocked: () => false,
      mtu: { isBroken: true, reduced: undefined },
    };

    expect(hostHealth(connected, options).map(({ code }) => code)).toEqual(['mtu-broken']);
    expect(hostHealth(stalled, options)).toEqual([]);
  });
});

describe('a tunnel without a network', () => {
  const problem = { code: 'no-network', text: '', remedy: '' } as const;
  const waiting = { kind: 'waiting', reach: 'device', edge: 'home', failures: 0, problem } as const;
  const offline: ConnectionState = { ...waiting, kept: { endpoints } };

  test.each([
    ['is asked again', stalled],
    ['is left', { kind: 'disconnecting', reach: 'device' } as const],
    ['failed', { ...waiting, retryAt: monoMs(1) }],
  ] as const)('rests, and no longer as soon as it %s', (_what, next) => {
    const rests: boolean[] = [];
    const tunnel = {
      status: async () => undefined,
      rest: async (isResting: boolean) => void rests.push(isResting),
    };
    const { become } = world(tunnel);

    become(connected);
    become(offline);
    become({ ...offline });
    const during = [...rests];
    become(next);

    expect(during).toEqual([true]);
    expect(rests).toEqual([true, false]);
  });
});
