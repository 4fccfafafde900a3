// `npm test`: set up, check, run every test, print what was skipped and why, and end with one line of numbers.
// `npm test -- --only unit,house` runs those folders alone, without set-up and checks. Other arguments go to vitest.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks } from './checks.ts';
import { addCounts, type Counts, noCounts, summaryLine } from './counts.ts';
import { setUp } from './setup.ts';
import { root, spawnHere } from './spawn.ts';

const suites = ['house', 'unit', 'contract', 'sim', 'interop', 'system', 'desktop'] as const;

interface Options {
  readonly only: readonly string[];
  readonly forVitest: readonly string[];
}

function parseOptions(given: readonly string[]): Options | string {
  const only: string[] = [];
  const forVitest: string[] = [];
  for (let i = 0; i < given.length; i++) {
    const word = given[i] ?? '';
    if (word === '--only') only.push(...(given[++i] ?? '').split(','));
    else if (word.startsWith('--only=')) only.push(...word.slice('--only='.length).split(','));
    else forVitest.push(word);
  }
  const unknown = only.filter((name) => !suites.some((suite) => suite === name));
  if (unknown.length > 0) return `--only takes ${suites.join(', ')}; not "${unknown.join(', ')}"`;
  return { only, forVitest };
}

async function runTests(options: Options): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-test-'));
  const report = join(folder, 'counts.json');
  try {
    const code = await spawnHere(
      process.execPath,
      [
        join(root, 'node_modules', 'vitest', 'vitest.mjs'),
        'run',
        '--config',
        'test/vitest.config.ts',
        ...options.forVitest,
      ],
      { CULVERT_TEST_COUNTS: report, CULVERT_TEST_ONLY: options.only.join(',') },
    );
    return trustworthy(readCounts(report), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readCounts(path: string): Counts {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Counts;
  } catch {
    console.error('vitest ended without a report: counted as one failure.');
    return { ...noCounts, failed: 1 };
  }
}

/** A red exit code without a red test is still a failure. */
function trustworthy(counts: Counts, code: number): Counts {
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (typeof options === 'string') {
    console.error(options);
    process.exitCode = 2;
    return;
  }
  let counts = noCounts;
  if (options.only.length === 0) {
    setUp();
    counts = addCounts(counts, await runChecks(spawnHere));
  }
  counts = addCounts(counts, await runTests(options));
  if (counts.skipped.length > 0) {
    console.log('\nSkipped:');
    for (const { name, note } of counts.skipped)
      console.log(`  ${name}${note === undefined ? '' : ` (${note})`}`);
  }
  console.log(`\n${summaryLine(counts)}`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

await main();
