// Bundles what stands between page and program: the preload script of the app, and the bridge of `culvert ui`.
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';

const bridgeFolder = fileURLToPath(new URL('../bridge/', import.meta.url));
const shared: BuildOptions = {
  bundle: true,
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  target: ['es2024'],
};

/** For browsers; in memory, because nothing else needs it. */
export async function buildBrowserBridge(): Promise<Uint8Array<ArrayBuffer>> {
  const { outputFiles } = await build({
    ...shared,
    entryPoints: [`${bridgeFolder}browser-bridge.ts`],
    platform: 'browser',
    format: 'esm',
    write: false,
  });
  return new Uint8Array(outputFiles[0]?.contents ?? []);
}

/** One CommonJS file whose only require is electron: a sandboxed preload script can load no other. */
export async function buildPreload(path: string): Promise<void> {
  await build({
    ...shared,
    entryPoints: [`${bridgeFolder}preload.ts`],
    platform: 'node',
    format: 'cjs',
    external: ['electron'],
    outfile: path,
  });
}
