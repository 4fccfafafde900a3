// Pauses and trusted networks against a driver that notes what it is told. The Wi-Fi is a fake: no test has a real one.
import { beforeEach, describe, expect, test } from 'vitest';
import type { ConnectionEvent } from '../../../../client/connection/event.ts';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { RestDesk } from '../../../../client/control/rest-desk.ts';
import type { StoredPause } from '../../../../client/liveness/rest.ts';
import { changeSettings, defaultSettings, type Settings } from '../../../../client/settings/schema.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

let now = 0;
let sent: ConnectionEvent[] = [];
let state: ConnectionState = { kind: 'off' };
let settings: Settings = defaultSettings;
let stored: StoredPause | undefined;
let ssid: string | undefined;
let network = 'n1';
let timers: { at: number; work: () => void }[] = [];
let wish: string | undefined;

function make(): RestDesk {
  return new RestDesk({
    state: () => state,
    send: (event) => {
      sent.push(event);
      state = event.kind === 'rest' ? { kind: 'off' } : { kind: 'disconnecting', reach: 'device' };
    },
    settings: {
      get current() {
        return settings;
      },
      change: (patch) => (settings = changeSettings(settings, patch)),
    },
    wish: () => wish,
    pauses: { read: () => stored, write: (pause) => void (stored = pause) },
    around: async () => ({ ssid, wired: false, network }),
    clock: { kind: 'process', now: () => monoMs(now), unix: () => unixMs(1_700_000_000_000 + now) },
    log: silentLog,
    schedule: (work, delayMs) => {
      const timer = { at: now + delayMs, work };
      timers.push(timer);
      return () => void (timers = timers.filter((one) => one !== timer));
    },
  });
}

function connected(): void {
  state = { kind: 'connected', reach: 'device', edge: 'home', endpoints: [], provenAt: monoMs(0) };
}

beforeEach(() => {
  now = 0;
  sent = [];
  settings = defaultSettings;
  stored = undefined;
  ssid = undefined;
  network = 'n1';
  timers = [];
  wish = 'home';
  connected();
});

const kinds = (): readonly string[] => sent.map(({ kind }) => kind);

describe('the desk of rest', () => {
  test('pauses, says until when, and connects again when the time has come', async () => {
    const desk = make();

    desk.pause(60_000);
    const view = desk.view;
    now = 60_000;
    timers[0]?.work();
    await desk.check();

    expect(view).toEqual({ reason: 'paused', resumesAt: new Date(1_700_000_060_000).toISOString() });
    expect(kinds()).toEqual(['rest', 'connect']);
    expect(stored).toBeUndefined();
    expect(desk.view).toEqual({});
  });

  test('goes on with a pause of an earlier daemon', async () => {
    make().pause(60_000);
    state = { kind: 'off' };
    sent = [];
    now = 10_000;

    const desk = make();
    await desk.check();

    expect(desk.isResting).toBe(true);
    expect(kinds()).toEqual([]);
    expect(timers.at(-1)?.at).toBe(60_000);
  });

  test('ends a pause where the user connects', async () => {
    const desk = make();
    desk.pause(60_000);

    await desk.handleConnect();
    now = 60_000;
    await desk.check();

    expect(kinds()).toEqual(['rest']);
    expect(desk.view).toEqual({});
  });

  test('refuses to pause what is off', () => {
    wish = undefined;

    expect(() => make().pause(1000)).toThrow(expect.objectContaining({ code: 'not-connected' }));
  });

  test('rests in a trusted network and protects elsewhere', async () => {
    const desk = make();
    ssid = 'Home';
    await desk.trust('Home');
    const there = [kinds(), desk.view.reason];
    ssid = 'Cafe';
    network = 'n2';
    await desk.check();

    expect(there).toEqual([['rest'], 'trusted-network']);
    expect(kinds()).toEqual(['rest', 'connect']);
  });

  test('is awake in a trusted network where the user insists, until it is left', async () => {
    const desk = make();
    ssid = 'Home';
    await desk.trust('Home');

    await desk.handleConnect();
    connected();
    await desk.check();
    const insisted = kinds().length;
    network = 'n2';
    ssid = undefined;
    await desk.check();
    network = 'n1';
    ssid = 'Home';
    await desk.check();

    expect(insisted).toBe(1);
    expect(kinds()).toEqual(['rest', 'rest']);
  });

  test('keeps any name that a Wi-Fi may have, and says which is not on the list', async () => {
    const desk = make();

    await desk.trust('Größe, "5" & co');

    expect((await desk.list()).ssids).toEqual(['Größe, "5" & co']);
    await expect(desk.trust('x'.repeat(33))).rejects.toMatchObject({ code: 'bad-setting' });
    await expect(desk.distrust('nope')).rejects.toMatchObject({ code: 'unknown-name' });
  });
});
