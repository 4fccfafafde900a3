// "Allow my account": which program is run as root, with which words, and what its end means. Stand-ins for pkexec.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { policyText } from '../../../../client/host/polkit.ts';
import { type AllowFacts, allowingHand, allowingHere } from '../../../../desktop/main/allow-account.ts';

const facts: AllowFacts = {
  platform: 'linux',
  env: { PATH: 'relative:/usr/bin:/home/eve/bin' },
  account: 'anna',
  socket: undefined,
  launcher: '/home/anna/culvert/node_modules/.bin/culvert',
  policy: policyText('/opt/my culvert/culvert'),
};
const everything = (): boolean => true;

describe('the way to a permission', () => {
  test('is the program that polkit knows, never one of a checkout or of PATH', () => {
    expect(allowingHere(facts, everything)).toEqual({
      by: 'polkit',
      words: ['/usr/bin/pkexec', '/opt/my culvert/culvert', 'account', 'allow', 'anna'],
    });
  });

  test.each<readonly [string, Partial<AllowFacts>, (path: string) => boolean, string]>([
    [
      'there is no pkexec',
      {},
      (path) => !path.endsWith('pkexec'),
      "sudo '/opt/my culvert/culvert' account allow anna",
    ],
    [
      'polkit was told nothing',
      { policy: undefined },
      everything,
      'sudo /home/anna/culvert/node_modules/.bin/culvert account allow anna',
    ],
    [
      'its file names no absolute path',
      { policy: policyText('culvert'), launcher: undefined },
      everything,
      'sudo culvert account allow anna',
    ],
  ])('is a line to type where %s', (_, change, canRun, command) => {
    expect(allowingHere({ ...facts, ...change }, canRun)).toEqual({ by: 'command', command });
  });

  test.each<Partial<AllowFacts>>([
    { platform: 'darwin' },
    { socket: '/home/anna/.local/state/culvert/control.sock' },
    { account: 'anna; reboot' },
    { account: '--help' },
  ])('is not there for %j', (change) => {
    expect(allowingHere({ ...facts, ...change }, everything)).toBeUndefined();
  });

  test("is there for the system's daemon, however it was named", () => {
    expect(allowingHere({ ...facts, socket: '/run/culvert/control.sock' }, everything)?.by).toBe('polkit');
  });
});

describe('asking an administrator', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-pkexec-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function ask(script: string): (() => Promise<void>) | undefined {
    const pkexec = join(folder, 'pkexec');
    writeFileSync(pkexec, `#!/bin/sh\n${script}\n`);
    chmodSync(pkexec, 0o755);
    const found = allowingHere({ ...facts, env: { PATH: folder } }, everything);
    return allowingHand(found).allowAccount;
  }

  test('runs it without a shell, with these words alone', async () => {
    await ask(`printf '%s\\n' "$@" > ${folder}/words`)?.();

    expect(readFileSync(join(folder, 'words'), 'utf8')).toBe(
      '/opt/my culvert/culvert\naccount\nallow\nanna\n',
    );
  });

  test.each([126, 127])('says that nobody allowed it, where pkexec ends with %i', async (code) => {
    await expect(ask(`exit ${code}`)?.()).rejects.toMatchObject({ code: 'not-allowed' });
  });

  test('says what the program said, where that failed', async () => {
    const script =
      "echo 'culvert: Only your own account can be allowed this way. [not-your-account]' >&2; exit 1";

    await expect(ask(script)?.()).rejects.toMatchObject({
      code: 'command-failed',
      message: 'Only your own account can be allowed this way. [not-your-account]',
    });
  });

  test('asks once, however often the button is pressed meanwhile', async () => {
    const allow = ask(`echo asked >> ${folder}/words; read line < ${folder}/gate`);
    writeFileSync(join(folder, 'gate'), 'go\n');

    await Promise.all([allow?.(), allow?.(), allow?.()]);
    await allow?.();

    expect(readFileSync(join(folder, 'words'), 'utf8')).toBe('asked\nasked\n');
  });

  test('has no hand where a person types the line', () => {
    expect(allowingHand({ by: 'command', command: 'sudo culvert' })).toEqual({});
    expect(allowingHand(undefined)).toEqual({});
  });
});
