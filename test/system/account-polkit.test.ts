// The permission of an account by the real polkit: that it reads our file, knows the program by its
// path and its first word, and tells it whose account it is. Rules stand in for the administrator; no agent asks anybody.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { AccountWorld, accountTools, launcher, people, type Said } from './support/account-world.ts';

const polkitd = '/usr/lib/polkit-1/polkitd';
const patience = 60_000;
const needs = { namespaces: true, tools: [...accountTools, 'dbus-daemon', 'pkexec'], ffi: true };

/** polkitd reads its rules as an account of its own. */
const setUp =
  'mkdir -p /run/dbus /etc/polkit-1/rules.d && rm -f /etc/polkit-1/rules.d/* && chmod 755 /etc/polkit-1/rules.d';

const rules = `polkit.addRule(function (action, subject) {
  if (action.id === 'org.culvert.account' && subject.user === 'anna') return polkit.Result.YES;
  return polkit.Result.NO;
});
`;

const longMs = 400_000;

describeWith(needs, 'an account and the real polkit', () => {
  const world = new AccountWorld();
  const started: ChildProcess[] = [];

  beforeAll(async () => {
    await world.open();
    await world.startDaemon();
    expect(world.tellPolkit()).toMatchObject({ code: 0 });
    world.inside(['sh', '-c', setUp]);
    writeFileSync(join(world.folder, 'etc/polkit-1/rules.d/10-culvert.rules'), rules);
    const [enter = '', ...words] = world.enter();
    const start = (...program: readonly string[]): void =>
      void started.push(spawn(enter, [...words, ...program], { stdio: 'ignore' }));
    start(
      'dbus-daemon',
      '--system',
      '--nofork',
      '--nopidfile',
      '--address=unix:path=/run/dbus/system_bus_socket',
    );
    await vi.waitFor(() => expect(world.inside(['test', '-S', '/run/dbus/system_bus_socket']).code).toBe(0), {
      timeout: patience,
    });
    start(polkitd, '--no-debug');
    await vi.waitFor(() => expect(world.inside(['pkaction']).out).toContain('org.culvert.account'), {
      timeout: patience,
      interval: 200,
    });
  }, longMs);

  afterAll(async () => {
    for (const one of started) one.kill('SIGTERM');
    await world.close();
  });

  /** By somebody's own session, with all that a setuid program needs. */
  function pkexec(person: keyof typeof people, ...words: readonly string[]): Said {
    const id = String(people[person]);
    const env = ['env', '-i', 'PATH=/usr/bin:/bin', `HOME=${world.home(person)}`];
    const become = ['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--', ...env];
    return world.inside([...become, 'pkexec', '--disable-internal-agent', ...words]);
  }

  test(
    'runs our command for whoever was allowed, and tells it who that is',
    () => {
      const allowed = pkexec('anna', launcher, 'account', 'allow', 'anna', '--json');

      expect(allowed).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(allowed.out)).toMatchObject({ account: 'anna' });
      expect(world.as('anna', launcher, 'settings', 'list').code).toBe(0);
    },
    longMs,
  );

  test(
    'does not run it for others, nor anything else of it',
    () => {
      const other = pkexec('bob', launcher, 'account', 'allow', 'bob');
      const unit = pkexec('anna', launcher, 'service', 'remove');

      expect([other.code, unit.code]).toEqual([127, 127]);
      expect([other.err, unit.err].join()).not.toContain('agent');
      expect(world.as('bob', launcher, 'settings', 'list').code).toBe(1);
    },
    longMs,
  );

  test(
    'knows our words in both languages',
    () => {
      const said = world.inside(['pkaction', '--verbose', '--action-id', 'org.culvert.account']);

      expect(said.out).toContain('An administrator has to agree that your account');
      expect(said.out).toMatch(/implicit active: +auth_admin$/m);
      expect(said.out).toContain(`org.freedesktop.policykit.exec.path -> ${launcher}`);
    },
    longMs,
  );
});
