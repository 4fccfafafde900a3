// Who may command the system's daemon, on a machine with two people: an account is let in at once, in a session that
// began before, speaks for itself alone by pkexec, keeps it when the daemon starts again, and loses it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { AccountWorld, accountTools, launcher, type Person } from './support/account-world.ts';

const needs = { namespaces: true, tools: [...accountTools, 'curl'], ffi: true };

const longMs = 400_000;

describeWith(needs, 'accounts and the daemon of the system', () => {
  const world = new AccountWorld();

  beforeAll(async () => {
    await world.open();
    await world.startDaemon();
  }, longMs);

  afterAll(() => world.close());

  /** By something that only those may who may command. */
  function may(person: Person): boolean {
    const said = world.as(person, launcher, 'settings', 'list', '--json');
    if (said.code === 0) return true;
    expect(JSON.parse(said.err)).toMatchObject({ code: 'no-permission' });
    return false;
  }

  test(
    'belongs to root alone at first, and everybody may look',
    () => {
      const list = world.asRoot('account', 'list', '--json');
      const seen = world.as(
        'anna',
        'curl',
        '-s',
        '--unix-socket',
        '/run/culvert/status.sock',
        'http://x/v1/status',
      );

      expect(JSON.parse(list.out)).toEqual({ accounts: [] });
      expect(JSON.parse(seen.out)).toMatchObject({ state: 'off' });
      expect([may('anna'), may('bob')]).toEqual([false, false]);
    },
    longMs,
  );

  test(
    'is commanded by an account from the moment that it was allowed, without a new login',
    () => {
      const said = world.byPkexec('anna', launcher, 'account', 'allow', 'anna', '--json');

      expect(said).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(said.out)).toEqual({
        account: 'anna',
        done: ['anna may command culvert from now on.'],
      });
      expect([may('anna'), may('bob')]).toEqual([true, false]);
      expect(world.file('/etc/group')).toMatch(/^culvert:x:\d+:anna$/m);
    },
    longMs,
  );

  test(
    'lets nobody speak for another account or name a file, once an administrator agreed',
    () => {
      const other = world.byPkexec('bob', launcher, 'account', 'allow', 'anna', '--json');
      const root = world.byPkexec('bob', launcher, 'account', 'remove', 'anna', '--json');
      const file = world.byPkexec(
        'bob',
        launcher,
        'account',
        'allow',
        'bob',
        '--socket',
        '/etc/shadow',
        '--json',
      );

      for (const said of [other, root]) {
        expect(said.code).toBe(1);
        expect(JSON.parse(said.err)).toMatchObject({ code: 'not-your-account' });
      }
      expect(file.code).toBe(2);
      expect([may('anna'), may('bob')]).toEqual([true, false]);
    },
    longMs,
  );

  test(
    'allows nobody for an ordinary account, and nobody who is not there',
    () => {
      const own = world.as('bob', launcher, 'account', 'allow', 'bob', '--json');
      const gone = world.asRoot('account', 'allow', 'carol', '--json');

      expect(JSON.parse(own.err)).toMatchObject({ code: 'not-root' });
      expect(JSON.parse(gone.err)).toMatchObject({ code: 'unknown-account' });
      expect(may('bob')).toBe(false);
    },
    longMs,
  );

  test(
    'keeps who may when it starts again',
    async () => {
      await world.endDaemon();
      await world.startDaemon();

      expect([may('anna'), may('bob')]).toEqual([true, false]);
      expect(JSON.parse(world.asRoot('account', 'list', '--json').out)).toEqual({ accounts: ['anna'] });
    },
    longMs,
  );

  test(
    'is closed to an account that was taken off, at once',
    () => {
      const said = world.asRoot('account', 'remove', 'anna');

      expect(said.out).toContain('anna may not command culvert any more.');
      expect([may('anna'), may('bob')]).toEqual([false, false]);
      expect(world.asRoot('account', 'list').out).toBe('Root alone.\n');
    },
    longMs,
  );
});
