// What the home screen shows for each snapshot: the table of states, held against the daemon's own words.
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../../desktop/bridge/ipc.ts';
import { callOf, faceOf } from '../../../../desktop/view/face.ts';
import { english } from '../../../../desktop/view/texts/english.ts';
import { german } from '../../../../desktop/view/texts/german.ts';
import type { HealthItem } from '../../../../shared/core/control/health.ts';
import { scenes, sceneTime } from '../../../desktop/support/scenes.ts';

const wall = Date.parse(sceneTime);

function seen(snapshot: Snapshot | undefined, words = english) {
  return faceOf({ snapshot, wall, expected: undefined, isLost: false }, words);
}

function scene(name: string): Snapshot {
  const found = scenes[name];
  if (found === undefined) throw new Error(`no scene ${name}`);
  return found;
}

function withHealth(snapshot: Snapshot, item: HealthItem): Snapshot {
  if (snapshot.daemon !== 'answers') throw new Error('the scene has no status');
  return { ...snapshot, status: { ...snapshot.status, health: [item] } };
}

describe('the face of a state', () => {
  test.each<readonly [string, string, string, string | undefined]>([
    ['off', 'lock-open', 'quiet', 'off'],
    ['paused', 'clock', 'quiet', undefined],
    ['trusted', 'house', 'quiet', undefined],
    ['locked', 'bars', 'paused', 'off'],
    ['enrolling', 'key', 'blue', undefined],
    ['connecting', 'lock-dotted', 'quiet', 'on'],
    ['connected', 'lock-closed', 'private', 'on'],
    ['proxy', 'lock-part', 'private', 'on'],
    ['split', 'lock-part', 'private', 'on'],
    ['names', 'names', 'private', 'on'],
    ['portal', 'door', 'blue', undefined],
    ['signing-in', 'door', 'blue', undefined],
    ['waiting', 'pause', 'paused', 'on'],
    ['no-internet', 'no-signal', 'quiet', undefined],
    ['no-answer', 'broken', 'broken', undefined],
    ['blocked', 'pause', 'paused', 'on'],
    ['disconnecting', 'lock-dotted', 'quiet', 'off'],
    ['no-service', 'question', 'broken', undefined],
    ['no-permission', 'key', 'blue', undefined],
    ['update-needed', 'arrows', 'blue', undefined],
    ['first-run', 'key', 'blue', undefined],
  ])('is, for %s: icon %s, colour %s, switch %s', (name, icon, tone, wish) => {
    const face = seen(scene(name));

    expect([face.icon, face.tone, face.switch]).toEqual([icon, tone, wish]);
  });

  test('has the colour of what is private only where the daemon says that something is', () => {
    const promising = Object.entries(scenes).filter(([, one]) => seen(one).tone === 'private');

    expect(promising.map(([name]) => name)).toEqual([
      'connected',
      'noticed',
      'proxy',
      'split',
      'names',
      'read-only',
      'read-only-typed',
    ]);
  });

  test('promises nothing before the first answer and without one', () => {
    for (const snapshot of [undefined, scene('no-service'), scene('no-permission')]) {
      const face = seen(snapshot);

      expect(face.tone).not.toBe('private');
      expect(face.switch).toBeUndefined();
      expect(face.words.heading).not.toMatch(/private/);
    }
  });

  test('has one main control at most: a button, or the switch', () => {
    for (const one of Object.values(scenes)) {
      const { main, switch: wish } = seen(one);
      expect([main, wish].filter((control) => control !== undefined).length).toBeLessThanOrEqual(1);
    }
  });

  test('says after eight seconds of silence that it could not connect, and not at every short one', () => {
    const silent = { code: 'stalled', severity: 'warning', text: '', remedy: '' } as const;
    const short = withHealth(scene('connecting'), silent);
    const long = withHealth(scene('late'), silent);

    expect(seen(short).icon).toBe('lock-dotted');
    expect(seen(long).icon).toBe('broken');
  });

  test('says after eight seconds that it still tries', () => {
    expect(seen(scene('connecting')).words.sentence).not.toBe(english.home.stillTrying);
    expect(seen(scene('late')).words.sentence).toBe(english.home.stillTrying);
  });

  test('shows the truth to an account that may change nothing, with the one way to change that', () => {
    const face = seen(scene('read-only'));

    expect(face.words.heading).toBe('Your internet is private');
    expect([face.main, face.switch, face.link]).toEqual(['allow', undefined, undefined]);
  });

  test('needs no server where only look-ups are private', () => {
    expect(seen(scene('names')).kind).toBe('dns');
    expect(seen(scene('first-run')).kind).toBe('first-run');
  });

  test('says what to do before anybody went to sign in, and again when the time for it is over', () => {
    const waiting = scene('signing-in');
    if (waiting.daemon !== 'answers') throw new Error('no answer');
    const { signInUntil: _over, ...closed } = waiting;

    expect(seen(scene('portal'))).toMatchObject({ kind: 'portal', main: 'open-sign-in' });
    expect(seen(waiting)).toMatchObject({ kind: 'signing-in', main: 'open-sign-in-again' });
    expect(seen(closed)).toMatchObject({ kind: 'portal', main: 'open-sign-in' });
  });

  test('leaves out a button whose call cannot work', () => {
    const portal = scene('portal');
    const face = seen({ ...portal, app: { ...portal.app, unsupported: ['open-sign-in'] } });

    expect(face.main).toBeUndefined();
    expect(face.link).toBe('turn-off');
  });

  test('shows what a click asked for until the daemon speaks', () => {
    const expected = { key: 'connecting', from: 'off', untilMs: 3000 } as const;
    const face = faceOf({ snapshot: scene('off'), wall, expected, isLost: false }, english);

    expect([face.kind, face.switch, face.tone]).toEqual(['turning-on', 'on', 'quiet']);
  });

  test('takes the words of the daemon in English, and those of the same key elsewhere', () => {
    expect(seen(scene('blocked')).words.heading).toBe('Internet paused to protect you');
    expect(seen(scene('blocked'), german).words.heading).toBe('Internet pausiert, um dich zu schützen');
    expect(seen(scene('proxy'), german).words.heading).toBe('Programme am Proxy sind geschützt');
  });

  test('knows a call for every action', () => {
    expect(Object.keys(callOf).toSorted()).toEqual(Object.keys(english.actions).toSorted());
  });
});
