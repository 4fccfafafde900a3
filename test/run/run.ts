// `npm test`: set up, check, run every test, print what was skipped and why, and end with one line of numbers.
// `npm test -- --only unit,house` runs those folders alone, without set-up and checks. Other arguments go to vitest.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks } from './checks.ts';
import {
  addCounts,
  type Counts,
  filesToRunAgain,
  noCounts,
  type Report,
  replaceCounts,
  summaryLine,
} from './counts.ts';
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
  const report = await runVitest(options.forVitest, options.only);
  let { counts } = report;
  const again = filesToRunAgain(report);
  for (const { project, file, counts: first } of again) {
    console.log(
      `\n${file} (${project}) failed in real time: the whole file runs once more, in a world of its own.`,
    );
    const second = await runVitest(['--project', project, file], options.only);
    // A file that did not even load has nothing to say.
    const isGreen = second.counts.failed === 0 && second.counts.passed > 0;
    console.log(`${file} (${project}): ${isGreen ? 'passed the second time' : 'failed again'}`);
    if (isGreen) counts = replaceCounts(counts, first, second.counts);
  }
  return counts;
}

async function runVitest(words: readonly string[], only: readonly string[]): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-test-'));
  const path = join(folder, 'counts.json');
  try {
    const code = await spawnHere(
      process.execPath,
      [
        join(root, 'node_modules', 'vitest', 'vitest.mjs'),
        'run',
        '--config',
        'test/vitest.config.ts',
        ...words,
      ],
      { CULVERT_TEST_COUNTS: path, CULVERT_TEST_ONLY: only.join(',') },
    );
    return trustworthy(readReport(path), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(path: string): Report {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    console.error('vitest ended without a report: counted as one failure.');
    return { counts: { ...noCounts, failed: 1 }, red: [] };
  }
}

/** A red exit code without a red test is still a failure. */
function trustworthy({ counts, red }: Report, code: number): Report {
  return { counts: code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts, red };
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
