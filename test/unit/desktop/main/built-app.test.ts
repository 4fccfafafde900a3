// The built app: nothing in it but what the page, the sandbox and Electron allow.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../../../desktop/build/build-app.ts';

const timeout = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'culvert-built-'));

function read(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}

describe('the built app', () => {
  beforeAll(() => buildApp(folder, { launcher: '/opt/culvert/bin/culvert' }), timeout);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is one file for each of its processes, beside the view', () => {
    expect(readdirSync(folder).toSorted()).toEqual([
      'app.json',
      'main.mjs',
      'package.json',
      'preload.cjs',
      'view',
    ]);
    expect(readdirSync(join(folder, 'view')).toSorted()).toEqual([
      'page.html',
      'qr.js',
      'view.css',
      'view.js',
    ]);
  });

  test('has a preload script that requires Electron and nothing else', () => {
    const required = [...read('preload.cjs').matchAll(/require\(([^)]*)\)/g)].map(([, what]) => what);

    expect(required).toEqual(['"electron"']);
    expect(read('preload.cjs')).not.toMatch(/\bimport\b|process\.|ipcRenderer\.sendSync/);
  });

  test('has a main process that imports Electron and Node and nothing else', () => {
    const imported = [...read('main.mjs').matchAll(/^import .*?["']([^"']+)["'];$/gm)].map(
      ([, what]) => what,
    );
    const foreign = imported.filter(
      (name) => name !== 'electron' && !builtinModules.includes((name ?? '').replace(/^node:/, '')),
    );

    expect(imported).toContain('electron');
    expect(foreign).toEqual([]);
  });

  test('waits for nothing at its top, because Electron is ready only after it', () => {
    expect(read('main.mjs')).not.toMatch(/^await |^(?:const|let|var) .*= await /m);
  });

  test('has a page without scripts or styles of its own, and nothing from elsewhere', () => {
    expect(read('view/page.html')).not.toMatch(/<style|<script(?![^>]* src="[\w.]+")|style=|https?:/);
  });

  test('knows its version, and which daemon it can start', () => {
    expect(JSON.parse(read('app.json'))).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      launcher: '/opt/culvert/bin/culvert',
    });
    expect(JSON.parse(read('package.json'))).toMatchObject({ type: 'module', main: 'main.mjs' });
  });
});
