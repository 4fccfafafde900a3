// When the watch looks, and what it says then. Source and timers are given.
import { describe, expect, test } from 'vitest';
import type { NetworkFact } from '../../../../../client/host/network/fingerprint.ts';
import { snapshotOf } from '../../../../../client/host/network/polled-source.ts';
import type { NetworkNews, NetworkSource } from '../../../../../client/host/network/source.ts';
import { NetworkWatch } from '../../../../../client/host/network/watch.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function at(address?: string): ReturnType<typeof snapshotOf> {
  const none = { internal: false, mac: '', netmask: '', family: 'IPv4' } as const;
  return snapshotOf(address === undefined ? {} : { wlan0: [{ ...none, address, cidr: `${address}/24` }] });
}

function world(first?: string) {
  const state = { now: at(first), looks: 0, closed: false, broken: false };
  const facts: NetworkFact[] = [];
  const news: NetworkNews[] = [];
  const timers: (() => void)[] = [];
  let onChange = (): void => undefined;
  const source: NetworkSource = {
    kind: 'netlink',
    watch: (call) => {
      onChange = call;
    },
    takeNews: () => ({ messages: [], missed: false }),
    read: () => {
      state.looks++;
      if (state.broken) throw new Error('no more descriptors');
      return state.now;
    },
    close: () => {
      state.closed = true;
    },
  };
  const watch = new NetworkWatch({
    source,
    log: silent,
    own: () => ['culvert0'],
    targets: () => [],
    mark: () => 0,
    onFact: (fact) => facts.push(fact),
    onNews: (one) => news.push(one),
    schedule: (work) => {
      timers.push(work);
      return () => void timers.splice(timers.indexOf(work), 1);
    },
  });
  const ring = (): void => timers.splice(0).forEach((work) => work());
  return { watch, state, facts, news, timers, ring, change: () => onChange() };
}

describe('the watch of the network', () => {
  test('knows at once where it is, and says nothing about it', () => {
    const { watch, facts } = world('192.168.1.7');

    watch.start();

    expect(watch.current).toContain('wlan0');
    expect(facts).toEqual([]);
  });

  test('looks once for a swarm of changes', () => {
    const { watch, state, timers, ring, change } = world('192.168.1.7');
    watch.start();

    for (let i = 0; i < 50; i++) change();

    expect(timers).toHaveLength(1);
    ring();
    expect(state.looks).toBe(2);
  });

  test('tells of moving, losing and finding, each once', () => {
    const { watch, state, facts, ring, change } = world('192.168.1.7');
    watch.start();

    for (const address of ['10.0.0.4', '10.0.0.4', undefined, '10.0.0.4']) {
      state.now = at(address);
      change();
      ring();
    }

    expect(facts.map((fact) => fact.kind)).toEqual(['network-changed', 'network-gone', 'network-back']);
  });

  test('hands on news also where the network is the same', () => {
    const { watch, facts, news, ring, change } = world('192.168.1.7');
    watch.start();

    change();
    ring();

    expect(facts).toEqual([]);
    expect(news).toHaveLength(1);
  });

  test('takes other targets or interfaces of ours for no change of the network', () => {
    const { watch, state, facts } = world('192.168.1.7');
    watch.start();
    state.now = at('10.0.0.4');

    watch.rebase();
    watch.check();

    expect(facts).toEqual([]);
  });

  test('keeps what it knew where looking fails', () => {
    const { watch, state, facts, ring, change } = world('192.168.1.7');
    watch.start();
    state.broken = true;

    change();
    ring();

    expect(watch.current).toContain('192.168.1.7');
    expect(facts).toEqual([]);
  });

  test('is silent after its end', () => {
    const { watch, state, facts, timers, change } = world('192.168.1.7');
    watch.start();
    state.now = at();
    change();

    watch.close();

    expect(timers).toEqual([]);
    expect(watch.check()).toContain('wlan0');
    expect(facts).toEqual([]);
    expect(state.closed).toBe(true);
  });
});
