// The unit that `culvert service install` writes, as systemd's own checker reads it. No systemd has to run.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';

const entry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));

describeWith({ tools: ['systemd-analyze'] }, 'the unit of systemd', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-unit-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function culvert(...words: string[]) {
    return spawnSync(process.execPath, [entry, 'service', 'install', ...words], { encoding: 'utf8' });
  }

  test('is accepted by systemd without a word of complaint, and scores as contained', () => {
    const path = join(folder, 'culvert.service');
    writeFileSync(path, culvert('--print').stdout);

    const verified = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
    const security = spawnSync('systemd-analyze', ['security', '--offline=true', path], { encoding: 'utf8' });

    const complaints = verified.stderr.split('\n').filter((line) => line.includes('culvert'));
    expect({ code: verified.status, complaints }).toEqual({ code: 0, complaints: [] });
    const score = Number(/exposure level.*?: ([\d.]+)/.exec(security.stdout)?.[1]);
    expect(score).toBeGreaterThan(0);
    expect(score).toBeLessThan(5);
  });

  test('is not installed where systemd does not run the machine, with a plain word', () => {
    const isSystemd = spawnSync('test', ['-d', '/run/systemd/system']).status === 0;
    if (isSystemd || process.getuid?.() !== 0) return;

    const refused = culvert('--json');

    expect(refused.status).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({ code: 'no-systemd' });
  });
});
