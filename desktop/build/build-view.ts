// Bundles the view for browsers: page.html, view.js, view.css and qr.js in one folder, ready to be served under the policy of
// desktop/main/security.ts. Nothing in them is inline, and nothing is fetched from elsewhere.
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const viewFolder = fileURLToPath(new URL('../view/', import.meta.url));

/** Where the built app lies unless told otherwise. */
export const builtFolder: string = fileURLToPath(new URL('../../dist/desktop/app/', import.meta.url));

/** Writes the files into `folder`, which is made where it is missing. About a third of a second. */
export async function buildView(folder: string = builtFolder): Promise<void> {
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: [
      { in: join(viewFolder, 'view.tsx'), out: 'view' },
      { in: join(viewFolder, 'style.css'), out: 'view' },
    ],
    outdir: folder,
    bundle: true,
    // The reader of QR codes is half of the rest together, and few ever need it: a file of its own, fetched on use.
    splitting: true,
    chunkNames: '[name]',
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: ['es2024'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
  });
  await copyFile(join(viewFolder, 'page.html'), join(folder, 'page.html'));
}
