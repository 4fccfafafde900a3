import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Programs of their own, which nobody keeps running. */
const own = /-program\.ts$|client\/start\/|client\/lab\//;

describe('HTTP of a program that stays', () => {
  test('brings no browser along', () => {
    const script = `
      await import(${JSON.stringify(join(root, 'shared/node/http.ts'))});
      await import('node:https');
      console.log(process.moduleLoadList.some((name) => name.includes('undici/undici')));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });

    expect(stdout.trim()).toBe('false');
  });

  test.each(['client', 'edge', 'shared/node'])('is taken from one place in %s', (folder) => {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((name) => name.endsWith('.ts') && !own.test(name) && name !== 'shared/node/http.ts');

    const wrong = files.filter((name) =>
      /^import (?!type\b)[^;]*from 'node:http';/m.test(readFileSync(join(root, name), 'utf8')),
    );

    expect(wrong).toEqual([]);
  });
});
