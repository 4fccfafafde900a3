// The unit of systemd: what it says, and that installing and removing touch nothing of anybody else.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { installUnit, removeUnit, unitName, unitText } from '../../../../client/host/systemd.ts';
import type { Run } from '../../../../shared/node/run.ts';

const plan = {
  node: '/opt/node/bin/node',
  entry: '/opt/culvert/client/main.ts',
  stateDir: '/var/lib/culvert',
};

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-unit-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function makeWorld(options: { hasGroup: boolean; isRunning?: boolean }) {
  const lines: string[] = [];
  let hasGroup = options.hasGroup;
  const run: Run = async (program, words) => {
    lines.push([program, ...words].join(' '));
    if (program === 'groupadd') hasGroup = true;
    const exitCode = program === 'getent' && !hasGroup ? 2 : 0;
    return { exitCode, stdout: program === 'getent' && hasGroup ? 'culvert:x:990:\n' : '', stderr: '' };
  };
  const units = join(folder, 'units');
  mkdirSync(units, { recursive: true });
  const isRunning = (): boolean => options.isRunning ?? true;
  return {
    lines,
    unit: join(units, unitName),
    places: { run, journal: join(folder, 'service.json'), folder: units, isRunning },
  };
}

describe('the unit', () => {
  test('runs the daemon in the foreground, with what it needs and nothing else', () => {
    expect(unitText(plan)).toMatchSnapshot();
  });

  test('quotes paths with spaces, and what systemd would read as its own', () => {
    const text = unitText({ ...plan, node: '/opt/my node/%h/$x' });

    expect(text).toContain('ExecStart="/opt/my node/%%h/$$x" --');
    expect(text).toContain(' /opt/culvert/client/main.ts daemon --foreground');
  });

  test('is written, enabled and started, with the group that may command', async () => {
    const { lines, unit, places } = makeWorld({ hasGroup: false });

    const said = await installUnit(plan, places);

    expect(readFileSync(unit, 'utf8')).toBe(unitText(plan));
    expect(lines.filter((line) => !line.startsWith('getent'))).toEqual([
      'groupadd --system culvert',
      'systemctl daemon-reload',
      'systemctl enable culvert.service',
      'systemctl restart culvert.service',
    ]);
    expect(said.join(' ')).toContain('Made the group culvert');
  });

  test('goes with everything that was made for it', async () => {
    const { lines, unit, places } = makeWorld({ hasGroup: false });
    await installUnit(plan, places);
    lines.length = 0;

    const said = await removeUnit(places);
    const again = await removeUnit(places);

    expect(existsSync(unit)).toBe(false);
    expect(existsSync(places.journal)).toBe(false);
    expect(lines).toContain('systemctl disable --now culvert.service');
    expect(lines).toContain('systemctl clean --what=cache culvert.service');
    expect(lines).toContain('groupdel culvert');
    expect(said).toHaveLength(2);
    expect(again).toEqual([]);
  });

  test('leaves a group alone that was there before', async () => {
    const { lines, places } = makeWorld({ hasGroup: true });
    await installUnit(plan, places);
    await installUnit(plan, places);

    await removeUnit(places);

    expect(lines.some((line) => line.startsWith('group'))).toBe(false);
  });

  test('comes with what polkit is told, and takes it along', async () => {
    const { places } = makeWorld({ hasGroup: true });
    const path = join(folder, 'org.culvert.policy');

    const said = await installUnit({ ...plan, polkit: { path, program: '/opt/culvert/culvert' } }, places);
    const text = readFileSync(path, 'utf8');
    const removed = await removeUnit(places);

    expect(said.join(' ')).toContain('(polkit)');
    expect(text).toContain('>/opt/culvert/culvert<');
    expect(existsSync(path)).toBe(false);
    expect(removed.join(' ')).toContain(path);
  });

  test("never replaces or removes somebody else's unit of that name", async () => {
    const { unit, places } = makeWorld({ hasGroup: true });
    writeFileSync(unit, '[Service]\nExecStart=/bin/true\n');

    await expect(installUnit(plan, places)).rejects.toMatchObject({ code: 'file-unwritable' });
    const removed = await removeUnit(places);

    expect(removed).toEqual([]);
    expect(readFileSync(unit, 'utf8')).toContain('/bin/true');
  });

  test('is not installed where systemd does not run the machine, and nothing is written', async () => {
    const { lines, unit, places } = makeWorld({ hasGroup: false, isRunning: false });

    await expect(installUnit(plan, places)).rejects.toMatchObject({ code: 'no-systemd' });

    expect(existsSync(unit)).toBe(false);
    expect(lines).toEqual([]);
  });
});
