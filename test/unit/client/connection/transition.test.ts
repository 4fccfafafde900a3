// The connection's decisions as a table: every state meets every event. What is not in a row changes nothing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Effect } from '../../../../client/connection/effect.ts';
import type { ConnectionEvent, EventKind } from '../../../../client/connection/event.ts';
import { handshakeTimeoutMs, replyTimeoutMs } from '../../../../client/connection/reconnect.ts';
import {
  type Connecting,
  type ConnectionState,
  initialState,
  noEdge,
  type Problem,
  promises,
  type Reach,
} from '../../../../client/connection/state.ts';
import { transition } from '../../../../client/connection/transition.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const now = monoMs(100_000);
const passing: Problem = { code: 'command-failed', text: 'it failed', remedy: 'try' };
const lasting: Problem = { code: 'no-tun', text: 'no device', remedy: 'modprobe' };
const endpoints = [{ peer: 0, address: '192.0.2.1', port: 51820 }];

const elsewhere = [...endpoints, { peer: 0, address: '2001:db8::1', port: 51820 }];

const connecting: Connecting = {
  kind: 'connecting',
  reach: 'device',
  edge: 'home',
  phase: 'resolving',
  phaseSince: now,
  endpoints: [],
  closed: true,
  failures: 0,
  handshaked: false,
  confirmed: false,
};

const signInWay = { servers: ['192.0.2.53'], addresses: [{ address: '192.0.2.80', port: 80 }] };

const states = {
  off: { kind: 'off' },
  'connecting, first step': { ...connecting, closed: false },
  'connecting, resolving': connecting,
  'connecting, preparing': { ...connecting, phase: 'preparing', endpoints },
  'connecting, preparing, confirmed': {
    ...connecting,
    phase: 'preparing',
    endpoints,
    handshaked: true,
    confirmed: true,
  },
  'connecting, handshaking': { ...connecting, phase: 'handshaking', endpoints },
  'connecting, proving': { ...connecting, phase: 'proving', endpoints, handshaked: true },
  'connecting, naming': {
    ...connecting,
    phase: 'naming',
    endpoints,
    handshaked: true,
    confirmed: true,
  },
  'connecting, stalled': { ...connecting, phase: 'stalled', endpoints, trouble: 'stalled' },
  'connecting, stalled, a new session': {
    ...connecting,
    phase: 'stalled',
    endpoints,
    handshaked: true,
    trouble: 'stalled',
  },
  connected: { kind: 'connected', reach: 'device', edge: 'home', endpoints, provenAt: now },
  waiting: { kind: 'waiting', reach: 'device', edge: 'home', retryAt: now, failures: 1, problem: passing },
  'waiting, without a network': {
    kind: 'waiting',
    reach: 'device',
    edge: 'home',
    kept: { endpoints },
    failures: 0,
    problem: passing,
  },
  'blocked, trying again': {
    kind: 'blocked',
    reach: 'device',
    edge: 'home',
    retryAt: now,
    failures: 1,
    problem: passing,
    unprotected: false,
  },
  'blocked for good': { kind: 'blocked', reach: 'device', failures: 0, problem: lasting, unprotected: false },
  disconnecting: { kind: 'disconnecting', reach: 'device' },
  'disconnecting, then connect': {
    kind: 'disconnecting',
    reach: 'device',
    next: { edge: 'home', reach: 'device' },
  },
  'dns, starting': { kind: 'dns', reach: 'dns', ready: false },
  dns: { kind: 'dns', reach: 'dns', ready: true },
  portal: {
    kind: 'portal',
    reach: 'device',
    edge: 'home',
    way: { servers: ['192.0.2.53'], addresses: [] },
    opensUntil: now,
  },
  'portal, its time over': {
    kind: 'portal',
    reach: 'device',
    edge: 'home',
    way: { servers: ['192.0.2.53'], addresses: [] },
  },
} as const satisfies Record<string, ConnectionState>;

const events = {
  connect: { kind: 'connect', edge: 'home', reach: 'device' },
  'connect elsewhere': { kind: 'connect', edge: 'work', reach: 'device' },
  disconnect: { kind: 'disconnect' },
  rest: { kind: 'rest' },
  reconnect: { kind: 'reconnect', edge: 'home', reach: 'device' },
  'found-closed': { kind: 'found-closed', problem: passing },
  resolved: { kind: 'resolved', endpoints },
  'tunnel-started': { kind: 'tunnel-started' },
  'routes-set': { kind: 'routes-set' },
  'host-restored': { kind: 'host-restored' },
  'wish failed': { kind: 'effect-failed', effect: 'remember-wish', problem: passing },
  'firewall failed': { kind: 'effect-failed', effect: 'set-firewall', problem: passing },
  'gate failed': { kind: 'effect-failed', effect: 'set-gate', problem: passing },
  'port failed': { kind: 'effect-failed', effect: 'open-port', problem: passing },
  'resolve failed': { kind: 'effect-failed', effect: 'resolve', problem: passing },
  'tunnel failed': { kind: 'effect-failed', effect: 'start-tunnel', problem: passing },
  'tunnel failed for good': { kind: 'effect-failed', effect: 'start-tunnel', problem: lasting },
  'probe failed': { kind: 'effect-failed', effect: 'send-probe', problem: passing },
  'dns failed': { kind: 'effect-failed', effect: 'set-dns', problem: passing },
  'dns-ready': { kind: 'dns-ready' },
  'dns-changed': { kind: 'dns-changed' },
  'stop failed': { kind: 'effect-failed', effect: 'stop-tunnel', problem: passing },
  'restore failed': { kind: 'effect-failed', effect: 'restore-host', problem: passing },
  handshake: { kind: 'handshake' },
  confirmed: { kind: 'confirmed' },
  stalled: { kind: 'stalled' },
  recovered: { kind: 'recovered' },
  sought: { kind: 'sought', edge: 'home', choices: elsewhere, lost: false },
  'sought, lost': { kind: 'sought', edge: 'home', choices: elsewhere, lost: true },
  'sought another': { kind: 'sought', edge: 'work', choices: elsewhere, lost: true },
  'renewal failed': { kind: 'effect-failed', effect: 'renew-session', problem: passing },
  expired: { kind: 'expired' },
  'gave-up': { kind: 'gave-up' },
  roamed: { kind: 'roamed', endpoints: [{ peer: 0, address: '198.51.100.9', port: 4500 }] },
  'tunnel-ended': { kind: 'tunnel-ended', problem: passing },
  'network-news': { kind: 'network-news' },
  'network-gone': { kind: 'network-gone' },
  'portal-found': { kind: 'portal-found', way: signInWay },
  'portal-passed': { kind: 'portal-passed' },
  'open-portal': { kind: 'open-portal' },
  tick: { kind: 'tick' },
} as const satisfies Record<string, ConnectionEvent>;

type StateName = keyof typeof states;
type EventName = keyof typeof events;

const leaveOff = 'connecting: cancel-pending remember-wish+ release-dns firewall:connecting resolve';
const startOver =
  'connecting: cancel-pending clear-timer remember-wish+ release-dns firewall:connecting stop-tunnel resolve';
const leave =
  'disconnecting: cancel-pending clear-timer remember-wish- firewall:blocked stop-tunnel restore-host';
const rest = 'disconnecting: cancel-pending clear-timer firewall:blocked stop-tunnel restore-host';
const renew = 'connecting: renew-session send-probe set-timer seek-edge';
const wider = 'connecting: firewall:connecting';
const moved = 'connecting: firewall:connecting renew-session send-probe set-timer';
const offline = 'waiting: firewall:blocked clear-timer';
const revived = 'connecting: firewall:connecting renew-session send-probe set-timer seek-edge';
const turnBack = 'disconnecting: cancel-pending clear-timer remember-wish- restore-host';
const fail = 'blocked: cancel-pending clear-timer firewall:blocked stop-tunnel set-timer';
const failForGood = 'blocked: cancel-pending clear-timer firewall:blocked stop-tunnel';
const wait = 'waiting: firewall:blocked set-timer';
const probe = 'connecting: send-probe set-timer';
const named = 'connecting: clear-timer set-dns';
const earned = 'connected: firewall:connected clear-timer';
const leaveDns = 'disconnecting: cancel-pending clear-timer remember-wish+ restore-host';
const leaveDnsForGood = 'disconnecting: cancel-pending clear-timer remember-wish- restore-host';
const restDns = 'disconnecting: cancel-pending clear-timer restore-host';
const signIn = 'portal: cancel-pending firewall:portal stop-tunnel release-dns set-timer';
const kept = 'connecting:';
const widen = 'connecting: firewall:connecting';

const failures = (Object.keys(events) as EventName[]).filter((name) => events[name].kind === 'effect-failed');

/** What is the same in every phase of `connecting` once the machine is closed. */
const whileTrying: Partial<Record<EventName, string>> = {
  'network-news': renew,
  'network-gone': offline,
  sought: wider,
  'sought, lost': moved,
};

const whileConnecting: Partial<Record<EventName, string>> = {
  'connect elsewhere': startOver,
  reconnect: startOver,
  disconnect: leave,
  rest,
  roamed: widen,
  'tunnel-ended': fail,
  'portal-found': signIn,
  'wish failed': fail,
  'firewall failed': fail,
  'resolve failed': wait,
  'gate failed': fail,
  'port failed': fail,
  'tunnel failed': fail,
  'tunnel failed for good': failForGood,
  'stop failed': fail,
  'restore failed': fail,
  'dns failed': fail,
};

const whilePortal: Partial<Record<EventName, string>> = {
  connect: startOver,
  'connect elsewhere': startOver,
  reconnect: startOver,
  disconnect: leave,
  rest,
  'network-news': startOver,
  'network-gone': offline,
  'portal-passed': startOver,
  'open-portal': 'portal: firewall:portal set-timer',
  'firewall failed': fail,
  'gate failed': fail,
  'stop failed': fail,
};

const table: Record<StateName, Partial<Record<EventName, string>>> = {
  off: {
    connect: leaveOff,
    'connect elsewhere': leaveOff,
    reconnect: leaveOff,
    disconnect: 'off: remember-wish-',
    'found-closed': 'blocked:',
    'wish failed': 'off:',
    'firewall failed': 'off:',
    'resolve failed': 'off:',
    'gate failed': 'off:',
    'port failed': 'off:',
    'tunnel failed': 'off:',
    'tunnel failed for good': 'off:',
    'probe failed': 'off:',
    'renewal failed': 'off:',
    'dns failed': 'off:',
    'stop failed': 'off:',
    'restore failed': 'off:',
  },
  'connecting, first step': {
    ...whileConnecting,
    roamed: undefined,
    'tunnel-ended': undefined,
    'portal-found': undefined,
    resolved: 'connecting: firewall:connecting start-tunnel',
    'wish failed': turnBack,
    'firewall failed': turnBack,
    'gate failed': turnBack,
    'port failed': turnBack,
    'tunnel failed': turnBack,
    'tunnel failed for good': turnBack,
    'stop failed': turnBack,
    'dns failed': turnBack,
    'restore failed': turnBack,
  },
  'connecting, resolving': {
    ...whileConnecting,
    roamed: undefined,
    'tunnel-ended': undefined,
    resolved: 'connecting: firewall:connecting start-tunnel',
  },
  'connecting, preparing': {
    ...whileConnecting,
    'tunnel-started': 'connecting: set-routes',
    'routes-set': probe,
    handshake: kept,
    confirmed: kept,
  },
  'connecting, preparing, confirmed': {
    ...whileConnecting,
    'tunnel-started': 'connecting: set-routes',
    'routes-set': named,
    handshake: kept,
    confirmed: kept,
  },
  'connecting, handshaking': {
    ...whileConnecting,
    handshake: probe,
    confirmed: named,
    'routes-set': undefined,
    'gave-up': probe,
    ...whileTrying,
    tick: renew,
  },
  'connecting, proving': {
    ...whileConnecting,
    handshake: kept,
    confirmed: named,
    'gave-up': probe,
    ...whileTrying,
    tick: probe,
  },
  'connecting, naming': {
    ...whileConnecting,
    'dns-ready': earned,
    'dns failed': earned,
    'dns-changed': 'connecting: set-dns',
    'gave-up': probe,
  },
  'connecting, stalled': {
    ...whileConnecting,
    ...whileTrying,
    handshake: probe,
    confirmed: earned,
    recovered: earned,
    'gave-up': renew,
    tick: renew,
  },
  'connecting, stalled, a new session': {
    ...whileConnecting,
    ...whileTrying,
    handshake: probe,
    confirmed: earned,
    'gave-up': renew,
    tick: probe,
  },
  connected: {
    'connect elsewhere': startOver,
    reconnect: startOver,
    disconnect: leave,
    rest,
    stalled: revived,
    'network-gone': offline,
    'sought, lost': 'connected: firewall:connected renew-session send-probe',
    'gave-up': 'connecting: firewall:connecting send-probe set-timer',
    roamed: 'connected: firewall:connected',
    'dns-changed': 'connected: set-dns',
    'network-news': 'connected: renew-session send-probe seek-edge',
    'tunnel-ended': fail,
    'firewall failed': fail,
    'gate failed': fail,
  },
  waiting: {
    connect: startOver,
    'connect elsewhere': startOver,
    reconnect: startOver,
    disconnect: leave,
    rest,
    'network-news': startOver,
    'portal-found': signIn,
    tick: startOver,
    'wish failed': fail,
    'firewall failed': fail,
    'resolve failed': fail,
    'gate failed': fail,
    'port failed': fail,
    'tunnel failed': fail,
    'tunnel failed for good': failForGood,
    'dns failed': fail,
    'stop failed': fail,
    'restore failed': fail,
  },
  'waiting, without a network': {
    connect: startOver,
    'connect elsewhere': startOver,
    reconnect: startOver,
    disconnect: leave,
    rest,
    'network-news': revived,
    'tunnel-ended': fail,
    'wish failed': fail,
    'firewall failed': fail,
    'resolve failed': fail,
    'gate failed': fail,
    'port failed': fail,
    'tunnel failed': fail,
    'tunnel failed for good': failForGood,
    'dns failed': fail,
    'stop failed': fail,
    'restore failed': fail,
  },
  'blocked, trying again': {
    connect: startOver,
    'connect elsewhere': startOver,
    reconnect: startOver,
    disconnect: leave,
    rest,
    'network-news': startOver,
    tick: startOver,
    'firewall failed': 'blocked: stop-tunnel set-timer',
    'gate failed': 'blocked: stop-tunnel set-timer',
    'stop failed': 'blocked: set-timer',
  },
  'blocked for good': {
    connect: startOver,
    'connect elsewhere': startOver,
    reconnect: startOver,
    disconnect: leave,
    rest,
    'firewall failed': 'blocked: stop-tunnel',
    'gate failed': 'blocked: stop-tunnel',
    'stop failed': 'blocked:',
  },
  disconnecting: {
    connect: 'disconnecting:',
    'connect elsewhere': 'disconnecting:',
    reconnect: 'disconnecting:',
    disconnect: 'disconnecting: remember-wish-',
    rest: 'disconnecting:',
    'host-restored': 'off:',
    'wish failed': 'disconnecting: stop-tunnel restore-host',
    'firewall failed': 'disconnecting: stop-tunnel restore-host',
    'gate failed': 'disconnecting: stop-tunnel restore-host',
    'stop failed': 'disconnecting: restore-host',
    'restore failed': 'blocked:',
  },
  'disconnecting, then connect': {
    connect: 'disconnecting:',
    'connect elsewhere': 'disconnecting:',
    reconnect: 'disconnecting:',
    disconnect: 'disconnecting: remember-wish-',
    rest: 'disconnecting:',
    'host-restored': leaveOff,
    'wish failed': 'disconnecting: stop-tunnel restore-host',
    'firewall failed': 'disconnecting: stop-tunnel restore-host',
    'gate failed': 'disconnecting: stop-tunnel restore-host',
    'stop failed': 'disconnecting: restore-host',
    'restore failed': 'blocked:',
  },
  'dns, starting': {
    'connect elsewhere': leaveDns,
    connect: leaveDns,
    reconnect: leaveDns,
    disconnect: leaveDnsForGood,
    rest: restDns,
    'dns-ready': 'dns:',
    'dns-changed': 'dns: set-dns',
    'network-news': 'dns: set-dns',
    ...Object.fromEntries(failures.map((name) => [name, turnBack])),
  },
  dns: {
    'connect elsewhere': leaveDns,
    connect: leaveDns,
    reconnect: leaveDns,
    disconnect: leaveDnsForGood,
    rest: restDns,
    'dns-changed': 'dns: set-dns',
    'network-news': 'dns: set-dns',
  },
  portal: {
    ...whilePortal,
    'portal-found': 'portal: firewall:portal',
    tick: 'portal: firewall:portal',
  },
  'portal, its time over': whilePortal,
};

const pairs = (Object.keys(states) as StateName[]).flatMap((state) =>
  (Object.keys(events) as EventName[]).map((event) => [state, event] as const),
);

/** The same state or event where only the proxy is meant. */
function inProxy<T extends ConnectionState | ConnectionEvent>(one: T): T {
  const turned = 'reach' in one && one.reach !== 'dns' ? { ...one, reach: 'proxy' as const } : one;
  return 'next' in turned ? { ...turned, next: { edge: 'home', reach: 'proxy' } } : turned;
}

/** What the proxy's row says: a gate instead of the firewall, a port before the look-up, no routes. */
function proxyRow(stateName: StateName, eventName: EventName): string {
  if (eventName === 'gate failed') return proxyRow(stateName, 'firewall failed');
  if (states[stateName].kind === 'dns') return table[stateName][eventName] ?? 'dns:';
  const row = table[stateName][eventName] ?? `${states[stateName].kind}:`;
  // The tunnel that was never for the whole device has no routes to wait for.
  if (row === 'connecting: set-routes')
    return stateName === 'connecting, preparing, confirmed' ? proxied(earned) : probe;
  if (row === named) return proxied(earned);
  if (stateName === 'connected' && eventName === 'dns-changed') return 'connected:';
  // The proxy closed nothing of the machine: a sign-in needs nothing of it.
  if (row === signIn) return `${states[stateName].kind}:`;
  return proxied(row);
}

function proxied(row: string): string {
  const state = row.split(':')[0] ?? '';
  return row
    .replace(/ (?:release|set)-dns(?=$| firewall)/, '')
    .replace(/firewall:\w+/, `gate:${state}`)
    .replace(/ resolve$/, ' open-port resolve');
}

/** Rows that end in the same kind of state with nothing to do may return a new value or the old one. */
function describeStep([state, effects]: readonly [ConnectionState, readonly Effect[]]): string {
  return `${state.kind}: ${effects.map(word).join(' ')}`.trimEnd();
}

function word(effect: Effect): string {
  if (effect.kind === 'set-firewall') return `firewall:${effect.policy}`;
  if (effect.kind === 'set-gate') return `gate:${effect.state}`;
  if (effect.kind === 'remember-wish') return `remember-wish${effect.on ? '+' : '-'}`;
  return effect.kind;
}

describe('the connection', () => {
  test.each(pairs)('in %s, at %s, does what the table says', (stateName, eventName) => {
    const state = states[stateName];

    const step = transition(state, events[eventName], now);

    expect(describeStep(step)).toBe(table[stateName][eventName] ?? `${state.kind}:`);
  });

  test.each(pairs.filter(([state]) => state !== 'connecting, naming'))(
    'in %s, at %s, does for the proxy what its row says',
    (stateName, eventName) => {
      const step = transition(inProxy(states[stateName]), inProxy(events[eventName]), now);

      expect(describeStep(step)).toBe(proxyRow(stateName, eventName));
    },
  );

  test.each([
    'connecting, handshaking',
    'connected',
    'waiting',
    'blocked, trying again',
    'blocked for good',
  ] as const)(
    'goes from %s into the other reach by way of off, closed meanwhile and with the wish kept',
    (name) => {
      const ways: readonly (readonly [ConnectionState, ConnectionEvent, Reach, Reach])[] = [
        [states[name], inProxy<ConnectionEvent>(events.connect), 'device', 'proxy'],
        [states[name], inProxy<ConnectionEvent>(events.reconnect), 'device', 'proxy'],
        [inProxy<ConnectionState>(states[name]), events.connect, 'proxy', 'device'],
      ];
      for (const [state, event, from, to] of ways) {
        const [leaving, effects] = transition(state, event, now);
        const [arriving, then] = transition(leaving, events['host-restored'], now);

        expect(leaving).toMatchObject({ kind: 'disconnecting', reach: from });
        expect(effects.map(word)).toEqual([
          'cancel-pending',
          'clear-timer',
          'remember-wish+',
          from === 'proxy' ? 'gate:disconnecting' : 'firewall:blocked',
          'stop-tunnel',
          'restore-host',
        ]);
        expect(arriving).toMatchObject({ kind: 'connecting', edge: 'home', reach: to });
        expect(then.map(word)).toContain(to === 'proxy' ? 'open-port' : 'firewall:connecting');
      }
    },
  );

  test('opens the gate in connected alone, and closes it with every way out of there', () => {
    const broken = pairs.filter(([stateName, eventName]) => {
      const before = inProxy(states[stateName]);
      const [after, effects] = transition(before, inProxy(events[eventName]), now);
      const gates = effects.flatMap((effect) => (effect.kind === 'set-gate' ? [effect.state] : []));
      if (gates.some((gate) => gate === 'connected') && after.kind !== 'connected') return true;
      if (after.kind === before.kind || eventName === 'found-closed') return false;
      if (gates.length === 0) return !['off', 'disconnecting', 'blocked'].includes(after.kind);
      return (promises[after.kind].gate === 'open') !== (gates.at(-1) === 'connected');
    });

    expect(broken).toEqual([]);
  });

  test('never touches firewall or routes for the proxy', () => {
    const touching = pairs.filter(([stateName, eventName]) => {
      const [, effects] = transition(inProxy(states[stateName]), inProxy(events[eventName]), now);
      return effects.some((effect) => effect.kind === 'set-firewall' || effect.kind === 'set-routes');
    });

    expect(touching).toEqual([]);
  });

  test('keeps what the proof told for as long as it is connected', () => {
    const proof = { rttMs: 12, visibleAddress: '203.0.113.7' };

    const [naming] = transition(states['connecting, proving'], { kind: 'confirmed', proof }, now);
    const [connected] = transition(naming, events['dns-ready'], now);

    expect(connected).toMatchObject({ kind: 'connected', proof });
  });

  test.each(['connected', 'connecting, stalled'] as const)(
    '%s: to an edge that answered a moment ago nothing is looked up, and what carries packets stays',
    (from) => {
      const known = [{ peer: 0, address: '203.0.113.5', port: 51820 }];

      const [state, effects] = transition(
        states[from],
        { kind: 'reconnect', edge: 'work', reach: 'device', endpoints: known },
        now,
      );

      expect(state).toMatchObject({
        kind: 'connecting',
        phase: 'preparing',
        edge: 'work',
        endpoints: known,
        closed: true,
      });
      // Closed before the tunnel goes.
      expect(effects.map(word)).toEqual([
        'cancel-pending',
        'clear-timer',
        'remember-wish+',
        'firewall:connecting',
        'stop-tunnel',
        'start-tunnel',
      ]);
      expect(effects).toContainEqual({ kind: 'stop-tunnel', reach: 'device', keeps: true });
    },
  );

  test('before anything is closed, and for another reach, a known place changes nothing', () => {
    const known = [{ peer: 0, address: '203.0.113.5', port: 51820 }];
    const open = { ...connecting, closed: false } as const;

    const [early] = transition(
      open,
      { kind: 'reconnect', edge: 'work', reach: 'device', endpoints: known },
      now,
    );
    const [other] = transition(
      states.connected,
      { kind: 'reconnect', edge: 'work', reach: 'proxy', endpoints: known },
      now,
    );

    expect(early).toMatchObject({ kind: 'connecting', phase: 'resolving' });
    expect(other).toMatchObject({ kind: 'disconnecting', next: { reach: 'proxy' } });
  });

  test('private names alone: ready once they are answered, over again by a reconnect, nothing closed', () => {
    const goal = { edge: noEdge, reach: 'dns' } as const;

    const [starting, effects] = transition(initialState, { kind: 'connect', ...goal }, now);
    const [ready] = transition(starting, events['dns-ready'], now);
    const [same] = transition(ready, { kind: 'connect', ...goal }, now);
    const [again, over] = transition(ready, { kind: 'reconnect', ...goal }, now);
    const [troubled] = transition(ready, events['dns failed'], now);

    expect(starting).toEqual({ kind: 'dns', reach: 'dns', ready: false });
    expect(effects.map(word)).toEqual(['cancel-pending', 'clear-timer', 'remember-wish+', 'set-dns']);
    expect(ready).toMatchObject({ ready: true });
    expect(same).toBe(ready);
    expect([again, over.map(word)]).toEqual([starting, effects.map(word)]);
    expect(troubled).toMatchObject({ kind: 'dns', ready: true, problem: passing });
  });

  test('a system whose DNS cannot be set is connected all the same, and says so until it can', () => {
    const [troubled] = transition(states['connecting, naming'], events['dns failed'], now);
    const [well] = transition(troubled, events['dns-ready'], now);

    expect(troubled).toMatchObject({ kind: 'connected', problem: passing });
    expect(well).not.toHaveProperty('problem');
  });

  test('meets every kind of event there is', () => {
    const every: Record<EventKind, true> = {
      connect: true,
      disconnect: true,
      reconnect: true,
      'found-closed': true,
      resolved: true,
      'tunnel-started': true,
      'routes-set': true,
      'host-restored': true,
      'dns-ready': true,
      'dns-changed': true,
      'effect-failed': true,
      handshake: true,
      confirmed: true,
      expired: true,
      'gave-up': true,
      roamed: true,
      'tunnel-ended': true,
      'network-news': true,
      rest: true,
      stalled: true,
      recovered: true,
      sought: true,
      'network-gone': true,
      'portal-found': true,
      'portal-passed': true,
      'open-portal': true,
      tick: true,
    };

    const met = new Set<string>(Object.values(events).map((event) => event.kind));

    expect([...met].toSorted()).toEqual(Object.keys(every).toSorted());
  });

  test('keeps the promised firewall in every state that it enters', () => {
    const broken = pairs.filter(([stateName, eventName]) => {
      const before = states[stateName];
      const [after, effects] = transition(before, events[eventName], now);
      if (after.kind === before.kind || events[eventName].kind === 'found-closed') return false;
      const firewalls = effects.flatMap((effect) => (effect.kind === 'set-firewall' ? [effect.policy] : []));
      const promised = promises[after.kind].firewall;
      // Turning back before anything was closed, a failed restore and the end of one set nothing.
      if (firewalls.length === 0) return !['off', 'disconnecting', 'blocked'].includes(after.kind);
      return firewalls.at(-1) !== promised;
    });

    expect(broken).toEqual([]);
  });

  test('says that the edge does not answer only after the time for it, and goes on trying', () => {
    const state = states['connecting, handshaking'];

    const [early] = transition(state, events.tick, monoMs(now + handshakeTimeoutMs - 1));
    const [late, effects] = transition(state, events.tick, monoMs(now + handshakeTimeoutMs));

    expect(early).not.toHaveProperty('trouble');
    expect(late).toHaveProperty('trouble', 'handshake-timeout');
    expect(effects.map(word)).toContain('send-probe');
  });

  test('keeps the way to a sign-in open for five minutes, and again where the user wants it', () => {
    const [portal, effects] = transition(states['connecting, handshaking'], events['portal-found'], now);
    const until = monoMs(now + 300_000);
    const [early, again] = transition(portal, events.tick, monoMs(until - 1));
    const [over, closing] = transition(portal, events.tick, until);
    const [open, opening] = transition(over, events['open-portal'], until);

    expect(portal).toMatchObject({ kind: 'portal', opensUntil: until });
    expect(effects).toContainEqual({ kind: 'set-timer', at: until });
    expect([early, again]).toEqual([portal, [{ kind: 'set-timer', at: until }]]);
    expect(over).not.toHaveProperty('opensUntil');
    expect(closing[0]).not.toHaveProperty('way');
    expect(open).toMatchObject({ opensUntil: until + 300_000 });
    expect(opening[0]).toMatchObject({ policy: 'portal', way: signInWay });
  });

  test('is not connected by a handshake alone, and says what is missing', () => {
    const [proving] = transition(states['connecting, handshaking'], events.handshake, now);
    const [late] = transition(proving, events.tick, monoMs(now + replyTimeoutMs));

    expect(proving).toMatchObject({ kind: 'connecting', phase: 'proving' });
    expect(late).toMatchObject({ kind: 'connecting', trouble: 'no-reply' });
  });

  test('forgets the trouble once the edge answers', () => {
    const [troubled] = transition(states['connecting, handshaking'], events['gave-up'], now);
    const [proving] = transition(troubled, events.handshake, now);

    expect(troubled).toHaveProperty('trouble', 'handshake-timeout');
    expect(proving).not.toHaveProperty('trouble');
  });

  test('waits longer after every failure, up to half a minute', () => {
    const delays: number[] = [];
    let state: ConnectionState = connecting;
    for (let i = 0; i < 8; i++) {
      [state] = transition(state, events['tunnel failed'], now);
      if (state.kind !== 'blocked' || state.retryAt === undefined) throw new Error('not blocked');
      delays.push(state.retryAt - now);
      [state] = transition(state, events.tick, state.retryAt);
    }

    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  test.each(['waiting', 'blocked, trying again'] as const)(
    'in %s, sets its timer again where it rang early',
    (name) => {
      const state = { ...states[name], retryAt: monoMs(now + 0.5) };

      const [after, effects] = transition(state, events.tick, now);

      expect(after).toBe(state);
      expect(effects).toEqual([{ kind: 'set-timer', at: state.retryAt }]);
    },
  );

  test('never opens a closed machine unless the user asked for off, whatever happens', () => {
    const anyEvents = fc.array(fc.constantFrom(...(Object.keys(events) as EventName[])), { maxLength: 60 });

    fc.assert(
      fc.property(anyEvents, (names) => {
        let state: ConnectionState = initialState;
        let wantsOff = true;
        for (const [i, name] of names.entries()) {
          const event = events[name];
          const before = state;
          let effects: readonly Effect[];
          [state, effects] = transition(before, event, monoMs(i * 1000));
          if (event.kind === 'disconnect' || event.kind === 'rest') wantsOff = true;
          if (state.kind === 'connecting' && state.closed) wantsOff = false;
          const opens = effects.some((effect) => effect.kind === 'restore-host');
          const neverClosed = before.kind === 'connecting' && !before.closed;
          if (opens && !neverClosed && before.kind !== 'disconnecting') expect(wantsOff).toBe(true);
        }
      }),
      { seed: 8383, numRuns: 2000 },
    );
  });

  test('becomes connected only when a packet came back through the tunnel of this try', () => {
    const anyEvents = fc.array(fc.constantFrom(...(Object.keys(events) as EventName[])), { maxLength: 60 });

    fc.assert(
      fc.property(anyEvents, (names) => {
        let state: ConnectionState = initialState;
        let hasTunnel = false;
        let proven = false;
        for (const [i, name] of names.entries()) {
          const before: ConnectionState = state;
          const [after, effects] = transition(before, events[name], monoMs(i * 1000));
          state = after;
          if (hasTunnel && name === 'confirmed') proven = true;
          if (effects.some((effect) => effect.kind === 'stop-tunnel')) hasTunnel = proven = false;
          if (effects.some((effect) => effect.kind === 'start-tunnel')) hasTunnel = true;
          if (after.kind === 'connected' && before.kind !== 'connected') expect(proven).toBe(true);
        }
      }),
      { seed: 8383, numRuns: 2000 },
    );
  });
});
