// Four kinds of tests. `fast` runs in parallel; `contract` beside it, on real sockets of loopback. `net` builds network
// namespaces and measures real time, so its files run one after the other, after everything else.
// CULVERT_TEST_ONLY (from `npm test -- --only`) narrows the folders.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { CountsReporter } from './run/counts-reporter.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const only = (process.env['CULVERT_TEST_ONLY'] ?? '').split(',').filter((name) => name !== '');

function filesOf(...folders: string[]): string[] {
  const wanted = folders.filter((folder) => only.length === 0 || only.includes(folder));
  return wanted.map((folder) => `test/${folder}/**/*.test.ts`);
}

// Two workers at least: with one, vitest would run this project after the sequential one.
const fast: TestProjectInlineConfiguration = {
  test: {
    name: 'fast',
    root,
    include: filesOf('house', 'unit', 'sim'),
    pool: 'forks',
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 20_000,
    hookTimeout: 20_000,
    sequence: { groupOrder: 0 },
  },
};

const contract: TestProjectInlineConfiguration = {
  test: {
    ...fast.test,
    name: 'contract',
    include: filesOf('contract'),
    // Real sockets share the machine's ports with everybody, and its time with the other tests.
    retry: 1,
  },
};

const net: TestProjectInlineConfiguration = {
  test: {
    name: 'net',
    root,
    include: filesOf('interop', 'system'),
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Real processes in real time: a machine that stalls for a quarter of a second loses real datagrams.
    retry: 1,
    sequence: { groupOrder: 1 },
  },
};

// The same interop on the portable path: Node's own UDP sockets, cryptography in plain JavaScript.
const portable: TestProjectInlineConfiguration = {
  test: {
    ...net.test,
    name: 'portable',
    include: filesOf('interop'),
    exclude: ['test/interop/uapi.test.ts'],
    env: { CULVERT_UDP: 'dgram', CULVERT_CRYPTO: 'portable' },
    sequence: { groupOrder: 2 },
  },
};

// The desktop's window in a real browser: one browser at a time, beside nothing that measures.
const desktop: TestProjectInlineConfiguration = {
  test: {
    ...net.test,
    name: 'desktop',
    include: filesOf('desktop'),
    retry: 0,
    sequence: { groupOrder: 3 },
  },
};

export default defineConfig({
  root,
  test: {
    watch: false,
    reporters: ['default', new CountsReporter()],
    projects: [fast, contract, net, portable, desktop].filter(
      (project) => project.test?.include?.length !== 0,
    ),
  },
});
