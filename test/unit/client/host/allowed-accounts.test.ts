// Who may command the system's daemon: the accounts of a group, and who may let whom.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { memberNames, systemAccess } from '../../../../client/host/accounts.ts';
import {
  accountMeant,
  allowAccount,
  allowedAccounts,
  askerOf,
  disallowAccount,
} from '../../../../client/host/allowed-accounts.ts';
import { policyText, removePolicy, writePolicy } from '../../../../client/host/polkit.ts';
import { encodeAccessList } from '../../../../shared/node/ffi/access-calls.ts';
import type { Run } from '../../../../shared/node/run.ts';

const accounts =
  'root:x:0:0::/root:/bin/sh\nanna:x:4101:4101::/home/anna:/bin/sh\nbob:x:4102:4102::/:/bin/sh\n';

/** A machine whose files change as the system's own programs would change them. */
function makeMachine(groups: string) {
  const lines: string[] = [];
  const machine = { groups };
  const run: Run = async (program, words) => {
    lines.push([program, ...words].join(' '));
    const [, key = ''] = words;
    if (program === 'groupadd') machine.groups += 'culvert:x:990:\n';
    if (program === 'gpasswd') {
      machine.groups = words[0] === '--add' ? `culvert:x:990:${key}\n` : 'culvert:x:990:\n';
    }
    const found = accounts
      .split('\n')
      .find((line) => line.split(':')[0] === key || line.split(':')[2] === key);
    const stdout = program === 'getent' && found !== undefined ? `${found}\n` : '';
    return { exitCode: program === 'getent' && found === undefined ? 2 : 0, stdout, stderr: '' };
  };
  const files = () => ({ groups: machine.groups, accounts });
  return { lines, run, places: { run, socket: '/nowhere/control.sock', files } };
}

describe('the accounts that may command', () => {
  test('are root alone without the group, else its members at once and the group with their next login', () => {
    expect(systemAccess({ groups: 'root:x:0:\n', accounts })).toEqual({ mode: 0o600, folderMode: 0o755 });
    expect(systemAccess({ groups: 'culvert:x:990:bob,gone,anna\n', accounts })).toEqual({
      mode: 0o660,
      gid: 990,
      users: [4102, 4101],
      folderMode: 0o755,
    });
    expect(memberNames('culverts:x:1:eve\nculvert:x:990:\n', 'culvert')).toEqual([]);
  });

  test('are encoded as the kernel keeps them, sorted and each once', () => {
    const bytes = encodeAccessList({ owner: 6, group: 6, other: 0, named: 6, users: [300, 5, 300] });

    const hex = Buffer.from(bytes).toString('hex').match(/.{8}/g);
    // Version; then kind and permission, then account: owner, two accounts, group, mask, others.
    expect(hex?.join(' ')).toBe(
      '02000000 01000600 ffffffff 02000600 05000000 02000600 2c010000 04000600 ffffffff 10000600 ffffffff 20000000 ffffffff',
    );
  });
});

describe('letting an account command', () => {
  test('makes the group where there is none, adds the account, and says from when on it holds', async () => {
    const { lines, places } = makeMachine('root:x:0:\n');

    const said = await allowAccount('anna', places);
    const again = await allowAccount('anna', places);

    expect(lines).toEqual(['groupadd --system culvert', 'gpasswd --add anna culvert']);
    expect(said).toEqual(['anna may command culvert as soon as its daemon runs.']);
    expect(again).toEqual(said);
    expect(allowedAccounts(places)).toEqual(['anna']);
  });

  test('is taken away again, once', async () => {
    const { lines, places } = makeMachine('culvert:x:990:anna\n');

    const [first] = await disallowAccount('anna', places);
    const [second] = await disallowAccount('anna', places);

    expect(first).toBe('anna may not command culvert any more.');
    expect(second).toBe('anna was not allowed to command culvert.');
    expect(lines).toEqual(['gpasswd --delete anna culvert']);
  });

  test('never touches what is no socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'culvert-account-'));
    const path = join(folder, 'shadow');
    writeFileSync(path, 'secret', { mode: 0o600 });
    const { places } = makeMachine('culvert:x:990:\n');

    const said = await allowAccount('anna', { ...places, socket: path });

    expect(said.join()).toContain('as soon as its daemon runs');
    rmSync(folder, { recursive: true });
  });
});

describe('the account that is meant', () => {
  test('is the named one for root, and whoever came by sudo or pkexec without a name', async () => {
    const { run } = makeMachine('');

    expect(await accountMeant('bob', askerOf({}), run)).toBe('bob');
    expect(await accountMeant(undefined, askerOf({ SUDO_UID: '4101' }), run)).toBe('anna');
    expect(await accountMeant('bob', askerOf({ SUDO_UID: '4101' }), run)).toBe('bob');
    expect(await accountMeant(undefined, askerOf({ PKEXEC_UID: '4102' }), run)).toBe('bob');
    expect(await accountMeant('bob', askerOf({ PKEXEC_UID: '4102' }), run)).toBe('bob');
    await expect(accountMeant(undefined, askerOf({}), run)).rejects.toMatchObject({ code: 'bad-usage' });
  });

  test.each([
    ['anna', '4102'],
    ['root', '4102'],
    ['anna', 'x'],
    ['anna', ''],
  ])('is never another one by pkexec: %s asked for by %j', async (name, uid) => {
    const { run } = makeMachine('');

    await expect(
      accountMeant(name, askerOf({ PKEXEC_UID: uid, SUDO_UID: '4101' }), run),
    ).rejects.toMatchObject({ code: 'not-your-account' });
  });

  test.each(['eve', '--help', 'anna culvert', '../anna', '', '-d', 'a'.repeat(33), '99999999999'])(
    'is not %j, which nobody here is called',
    async (name) => {
      const { lines, run } = makeMachine('');

      await expect(accountMeant(name, askerOf({}), run)).rejects.toMatchObject({ code: 'unknown-account' });

      expect(lines.filter((line) => line !== 'getent passwd eve')).toEqual([]);
    },
  );
});

describe("polkit's file", () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-polkit-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('asks an administrator each time, for one program and its first word', () => {
    const text = policyText('/opt/a & b/<culvert>');

    expect(text).toContain('exec.path">/opt/a &amp; b/&lt;culvert&gt;</annotate>');
    expect(text).toContain('exec.argv1">account</annotate>');
    expect([...text.matchAll(/<allow_\w+>(\w+)</g)].map(([, who]) => who)).toEqual([
      'auth_admin',
      'auth_admin',
      'auth_admin',
    ]);
  });

  test("is written where there is polkit, and never over somebody else's", () => {
    const path = join(folder, 'org.culvert.policy');

    expect(writePolicy({ path: join(folder, 'none', 'x'), program: '/c' })).toBe(false);
    expect(writePolicy({ path, program: '/c' })).toBe(true);
    expect(writePolicy({ path, program: '/d' })).toBe(true);
    expect(removePolicy(path)).toBe(true);
    expect(removePolicy(path)).toBe(false);
    writeFileSync(path, '<policyconfig/>');
    expect(writePolicy({ path, program: '/c' })).toBe(false);
    expect(removePolicy(path)).toBe(false);
  });
});
