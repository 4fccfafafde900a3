// Builds the whole app into one folder, ready for an Electron binary: main.mjs, preload.cjs, the view, and what the app
// has to know about itself.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildPreload } from './build-bridge.ts';
import { buildView } from './build-view.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const appFolder: string = join(root, 'dist', 'desktop', 'electron');

export interface AppFacts {
  /** The `culvert` that the app starts where no daemon answers; absent: the one in PATH. */
  readonly launcher?: string;
}

/** Empties `folder` first. */
export async function buildApp(folder: string = appFolder, facts: AppFacts = {}): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await Promise.all([
    buildView(join(folder, 'view')),
    buildPreload(join(folder, 'preload.cjs')),
    buildMain(join(folder, 'main.mjs')),
  ]);
  const { name, version, license } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  ) as Readonly<Record<'name' | 'version' | 'license', string | undefined>>;
  await writeFile(
    join(folder, 'package.json'),
    json({ name, version, license, type: 'module', main: 'main.mjs' }),
  );
  await writeFile(join(folder, 'app.json'), json({ version, ...facts }));
}

/** Everything but Electron and Node in one file. */
async function buildMain(path: string): Promise<void> {
  await build({
    entryPoints: [join(root, 'desktop', 'main', 'main.ts')],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: ['node24'],
    external: ['electron'],
    legalComments: 'none',
    logLevel: 'warning',
  });
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
