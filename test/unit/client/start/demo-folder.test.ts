/** The temporary folder of a demonstration: private, and found again where its owner is dead. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeDemoFolder, removeDemoFolder, sweepDemoFolders } from '../../../../client/start/demo-folder.ts';

/** The largest number that Linux gives a process, and one more. */
const nobodysPid = 4_194_305;
let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'demo-folder-'));
  vi.stubEnv('TMPDIR', place);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(place, { recursive: true });
});

describe('the folder of a demonstration', () => {
  test('is for its owner alone, and goes with all that is in it', () => {
    const folder = makeDemoFolder();
    const modes = ['', 'edge', 'client'].map((name) => statSync(join(folder, name)).mode & 0o777);
    removeDemoFolder(folder);

    expect([modes, existsSync(folder)]).toEqual([[0o700, 0o700, 0o700], false]);
  });

  test('is left alone while its owner runs', () => {
    const folder = makeDemoFolder();

    expect([sweepDemoFolders(), existsSync(folder)]).toEqual([0, true]);
  });

  test('is cleared away once its owner is dead', () => {
    const folder = makeDemoFolder();
    writeFileSync(join(folder, 'owner'), `${nobodysPid}\n`);

    expect([sweepDemoFolders(), existsSync(folder)]).toEqual([1, false]);
  });

  test('is left alone while it is being made', () => {
    const folder = join(place, 'culvert-demo-young');
    mkdirSync(folder);
    const young = sweepDemoFolders();
    utimesSync(folder, 0, 0);

    expect([young, sweepDemoFolders(), existsSync(folder)]).toEqual([0, 1, false]);
  });

  test('is not taken for one that has another name', () => {
    mkdirSync(join(place, 'another'));
    utimesSync(join(place, 'another'), 0, 0);

    expect([sweepDemoFolders(), existsSync(join(place, 'another'))]).toEqual([0, true]);
  });
});
