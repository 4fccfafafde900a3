// A vitest reporter that prints nothing: it writes the numbers of the run to the file named in CULVERT_TEST_COUNTS.
// Test files that cannot be loaded and errors outside any test count as failures.
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import { addCounts, type Counts, type FileCounts, noCounts, type Report, type Skipped } from './counts.ts';

export class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const path = process.env['CULVERT_TEST_COUNTS'];
    if (path === undefined) return;
    let counts: Counts = { ...noCounts, failed: unhandledErrors.length };
    const red: FileCounts[] = [];
    for (const module of modules) {
      const own = countsOf(module);
      counts = addCounts(counts, own);
      if (own.failed > 0)
        red.push({ project: module.project.name, file: module.relativeModuleId, counts: own });
    }
    const report: Report = { counts, red };
    writeFileSync(path, JSON.stringify(report));
  }
}

function countsOf(module: TestModule): Counts {
  let passed = 0;
  let failed = failuresOutsideTests(module);
  const skipped: Skipped[] = [];
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed') passed++;
    else if (result.state === 'skipped') skipped.push(skippedTest(module, test.fullName, result.note));
    else failed++;
  }
  return { passed, failed, skipped };
}

/** A file that did not load, or a suite whose hooks failed, is red although no test of it is. */
function failuresOutsideTests(module: TestModule): number {
  let count = module.errors().length;
  for (const suite of module.children.allSuites()) count += suite.errors().length;
  return count;
}

function skippedTest(module: TestModule, fullName: string, note: string | undefined): Skipped {
  const name = `${module.relativeModuleId} > ${fullName}`;
  return note === undefined ? { name } : { name, note };
}
