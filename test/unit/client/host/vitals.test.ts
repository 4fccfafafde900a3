// What is done about a tunnel while it lives, stalls and is back: here, for the size of its packets.
import { describe, expect, test } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { hostHealth } from '../../../../client/host/surroundings.ts';
import { Vitals } from '../../../../client/host/vitals.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/log.ts';

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

function world() {
  const done: string[] = [];
  let state: ConnectionState = { kind: 'off' };
  const note = (what: string) => () => void done.push(what);
  const vitals = new Vitals({
    state: () => state,
    send: () => undefined,
    tunnelOf: () => {
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
