// The numbers of a test run: what checks and tests report, and the one line that sums them up.

export interface Skipped {
  readonly name: string;
  /** Why, where the test said so apart from its title. */
  readonly note?: string;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly Skipped[];
}

export const noCounts: Counts = { passed: 0, failed: 0, skipped: [] };

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: [...a.skipped, ...b.skipped] };
}

/** The last line of `npm test`. Other programs read it: its form is fixed. */
export function summaryLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped`;
}
