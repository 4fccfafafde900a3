/**
 * Builds the kernel: AssemblyScript in source/ → kernel-binary.ts, which is committed, so that nobody
 * needs a compiler to run it. The compiler is pinned by the lockfile; the same source gives the same
 * bytes. Run it after a change: node shared/node/kernel/build-program.ts
 * With --check it writes nothing and fails where the committed bytes are not those of the source.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { main, version } from 'assemblyscript/asc';

const entries = ['source/aead.ts', 'source/checksum.ts'];
/** The memory is the worker's; no runtime, since nothing is allocated. */
const compilerOptions = '--runtime stub --importMemory --noExportMemory --enable simd -O3 --noColors'.split(
  ' ',
);
const target = new URL('kernel-binary.ts', import.meta.url);
const lineLength = 100;

const checking = process.argv.includes('--check');
const built = moduleOf(await compile());
if (!checking) {
  writeFileSync(target, built);
} else if (readFileSync(target, 'utf8') !== built) {
  process.stderr.write(
    'kernel-binary.ts is not what its source gives: node shared/node/kernel/build-program.ts\n',
  );
  process.exitCode = 1;
}

async function compile(): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  let complaints = '';
  const { error } = await main([...entries, '--outFile', 'kernel.wasm', ...compilerOptions], {
    // Our imports carry the extension, and the compiler adds one of its own.
    readFile: (name) => readSource(name.replace(/\.ts\.ts$/, '.ts')),
    writeFile: (_name, contents) => {
      binary = typeof contents === 'string' ? Buffer.from(contents) : contents;
    },
    stderr: {
      write: (text) => {
        complaints += String(text);
      },
    },
  });
  if (error !== null || binary === undefined) throw new Error(complaints, { cause: error });
  return binary;
}

/** The text of a file of this room, or that there is none. */
function readSource(name: string): string | null {
  try {
    return readFileSync(new URL(name, import.meta.url), 'utf8');
  } catch {
    return null; // the compiler tries several places for each import
  }
}

function moduleOf(binary: Uint8Array): string {
  const text = Buffer.from(binary).toString('base64');
  const lines: string[] = [];
  for (let i = 0; i < text.length; i += lineLength) lines.push(text.slice(i, i + lineLength));
  return `/**
 * The kernel as WebAssembly, ${binary.length} bytes. Built by build-program.ts from source/ with AssemblyScript
 * ${version}; do not edit.
 */

export const kernelBase64 = \`
${lines.join('\n')}
\`;
`;
}
