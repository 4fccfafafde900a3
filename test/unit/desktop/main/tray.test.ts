// Icon, menu and notifications from the snapshot: the shape says what is proved, the menu offers what can work, and a
// person is interrupted only for what matters.
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../../desktop/bridge/ipc.ts';
import { viewOf } from '../../../../desktop/main/daemon-view.ts';
import { Notices } from '../../../../desktop/main/notifications.ts';
import { type TrayLine, type TrayView, trayOf } from '../../../../desktop/main/tray.ts';
import { darkInk, drawLock } from '../../../../desktop/main/tray-icon.ts';
import { trayWordsFor } from '../../../../desktop/main/tray-words.ts';
import { catalogueFor } from '../../../../desktop/view/texts/language.ts';
import type { ErrorCode } from '../../../../shared/core/control/codes.ts';
import type { PathList } from '../../../../shared/core/control/paths-api.ts';
import { type StateName, type Status, stateNames } from '../../../../shared/core/control/status.ts';
import { statusOf } from '../../../support/statuses.ts';

const app: Snapshot['app'] = { version: '1', choices: {}, unsupported: [] };
const edge = { name: 'home', transport: 'udp' } as const;
const english = { catalogue: catalogueFor('en', 'en'), words: trayWordsFor('en') };

function snapshotOf(state: StateName, more: Partial<Status> = {}, mayChange = true): Snapshot {
  return { ...viewOf({ answer: statusOf(state, { edge, ...more }), mayChange }), app };
}

function trayFor(snapshot: Snapshot, paths?: PathList): TrayView {
  return trayOf({ snapshot, paths, ...english });
}

function labels(lines: readonly TrayLine[]): readonly string[] {
  return lines.flatMap((line) => ('label' in line ? [line.label] : []));
}

describe('the tray', () => {
  test.each<[StateName, TrayView['shape'], boolean]>([
    ['off', 'open', false],
    ['enrolling', 'dotted', false],
    ['connecting', 'dotted', false],
    ['connected', 'closed', false],
    ['dns', 'closed', false],
    ['portal', 'dotted', true],
    ['waiting', 'dotted', true],
    ['blocked', 'dotted', true],
    ['disconnecting', 'dotted', false],
  ])('shows %s as a lock that is %s; needs a person: %s', (state, shape, hasBadge) => {
    expect(trayFor(snapshotOf(state))).toMatchObject({ shape, hasBadge });
  });

  test('has no closed lock and no way to switch while nobody answers', () => {
    for (const daemon of ['absent', 'no-permission', 'other-version'] as const) {
      const tray = trayFor({ daemon, app });

      expect(tray).toMatchObject({ shape: 'dotted', hasBadge: true });
      expect(labels(tray.lines)).not.toContain('Turn on');
      expect(labels(tray.lines)[0]).not.toMatch(/is private/);
    }
  });

  test('always offers the window and an end that leaves protection on', () => {
    const snapshots = [...stateNames.map((state) => snapshotOf(state)), { daemon: 'absent', app } as const];
    for (const snapshot of snapshots) {
      expect(labels(trayFor(snapshot).lines).slice(-2)).toEqual([
        'Open Culvert',
        'Quit (you stay protected)',
      ]);
    }
  });

  test('turns on from off, stops while connecting, turns off otherwise', () => {
    expect(labels(trayFor(snapshotOf('off')).lines)).toContain('Turn on');
    expect(labels(trayFor(snapshotOf('connecting')).lines)).toContain('Stop');
    expect(labels(trayFor(snapshotOf('connected')).lines)).toContain('Turn off');
  });

  test('offers nothing that this account may not do, or that has no edge', () => {
    expect(labels(trayFor(snapshotOf('connected', {}, false)).lines)).not.toContain('Turn off');
    const { edge: _none, ...bare } = statusOf('off');
    const snapshot: Snapshot = { ...viewOf({ answer: bare, mayChange: true }), app };
    expect(labels(trayFor(snapshot).lines)).not.toContain('Turn on');
  });

  test('lists the five fastest places, the one that does not answer last, and leads to the others', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const paths: PathList = {
      edge: 'home',
      chosen: 'auto',
      using: 'b',
      paths: ids.map((id, at) => ({
        id,
        type: 'direct',
        state: id === 'a' ? 'down' : 'up',
        rttMs: 60 - at * 10.2,
      })),
    };
    const menu = trayFor(snapshotOf('connected'), paths).lines.find((line) => line.kind === 'menu');

    expect(menu?.label).toBe('Where: b, 50 ms');
    expect(labels(menu?.kind === 'menu' ? menu.lines : [])).toEqual([
      'Fastest (chosen for you)',
      'f, 9 ms',
      'e, 19 ms',
      'd, 29 ms',
      'c, 40 ms',
      'b, 50 ms',
      'More places…',
    ]);
  });

  test('speaks German', () => {
    const german = { catalogue: catalogueFor('de', 'en'), words: trayWordsFor('de') };
    const { lines } = trayOf({ snapshot: snapshotOf('connected'), paths: undefined, ...german });

    expect(labels(lines)).toEqual([
      'Dein Internet ist geschützt',
      'Ausschalten',
      'Culvert öffnen',
      'Beenden (der Schutz bleibt)',
    ]);
  });
});

describe('the icon', () => {
  test('is three different shapes, and a badge changes each of them', () => {
    const drawn = (['open', 'dotted', 'closed'] as const).flatMap((shape) =>
      [false, true].map((badge) => Buffer.from(drawLock(shape, badge, 44, darkInk)).toString('base64')),
    );

    expect(new Set(drawn).size).toBe(6);
  });

  test('has the size that was asked for, and edges that are neither ink nor nothing', () => {
    const pixels = drawLock('closed', false, 22, darkInk);
    const alphas = new Set(pixels.filter((_value, at) => at % 4 === 3));

    expect(pixels).toHaveLength(22 * 22 * 4);
    expect(alphas.size).toBeGreaterThan(2);
    expect(alphas).toContain(255);
    expect(alphas).toContain(0);
  });
});

describe('notifications', () => {
  function said(steps: readonly (readonly [number, Snapshot, boolean?])[]): readonly (string | undefined)[] {
    const notices = new Notices();
    return steps.map(
      ([seconds, snapshot, isWatched = false]) =>
        notices.consider({ snapshot, nowMs: seconds * 1000, isWatched, ...english })?.kind,
    );
  }

  const up = snapshotOf('connected');
  const down = snapshotOf('blocked');
  const portal = snapshotOf('portal');
  const off = snapshotOf('off');

  test('tell once that protection dropped, and that it is back after a long drop', () => {
    expect(
      said([
        [0, up],
        [1, down],
        [2, down],
        [45, up],
        [46, up],
      ]),
    ).toEqual([undefined, 'dropped', undefined, 'back', undefined]);
  });

  test('keep a short drop to themselves once it is over', () => {
    expect(
      said([
        [0, up],
        [1, snapshotOf('connecting')],
        [5, up],
      ]),
    ).toEqual([undefined, undefined, undefined]);
  });

  test('do not come twice in half a minute', () => {
    expect(
      said([
        [0, up],
        [1, down],
        [3, up],
        [4, down],
        [40, down],
      ]),
    ).toEqual([undefined, 'dropped', undefined, undefined, 'dropped']);
  });

  test('say nothing to a person who looks at the window', () => {
    expect(
      said([
        [0, up],
        [1, down, true],
      ]),
    ).toEqual([undefined, undefined]);
  });

  test('tell once that the network wants a sign-in', () => {
    expect(
      said([
        [0, off],
        [1, portal],
        [50, portal],
      ]),
    ).toEqual([undefined, 'sign-in', undefined]);
  });

  test('do not call it a drop when a person turned it off, or when it never was on', () => {
    expect(
      said([
        [0, up],
        [1, snapshotOf('disconnecting')],
        [2, off],
        [3, down],
      ]).at(-1),
    ).toBeUndefined();
    expect(
      said([
        [0, off],
        [1, down],
      ]),
    ).toEqual([undefined, undefined]);
  });

  test('are silent where they are off, but for a drop', () => {
    const mute = (snapshot: Snapshot): Snapshot => ({
      ...snapshot,
      app: { ...app, choices: { notifications: false } },
    });

    expect(
      said([
        [0, mute(off)],
        [1, mute(portal)],
      ]),
    ).toEqual([undefined, undefined]);
    expect(
      said([
        [0, mute(up)],
        [1, mute(down)],
      ]),
    ).toEqual([undefined, 'dropped']);
  });

  test('tell that an invitation came too late, and of no other end of joining', () => {
    const notices = new Notices();
    const tell = (seconds: number, code: ErrorCode, isWatched = false): unknown =>
      notices.considerJoining(
        { ok: false, code },
        { snapshot: off, nowMs: seconds * 1000, isWatched, ...english },
      );

    expect(tell(0, 'edge-refused')).toBeUndefined();
    expect(tell(0, 'invite-expired', true)).toBeUndefined();
    expect(tell(1, 'invite-expired')).toEqual({
      kind: 'expired',
      heading: 'This invitation has expired.',
      sentence: 'Ask for a new one.',
      act: { name: 'show' },
    });
    expect(tell(2, 'invite-expired')).toBeUndefined();
    const moment = { snapshot: off, nowMs: 60_000, isWatched: false, ...english };
    expect(notices.considerJoining({ ok: true, result: undefined }, moment)).toBeUndefined();
    const mute: Snapshot = { ...off, app: { ...app, choices: { notifications: false } } };
    const silent = notices.considerJoining(
      { ok: false, code: 'invite-expired' },
      { ...moment, snapshot: mute },
    );
    expect(silent).toBeUndefined();
  });
});
