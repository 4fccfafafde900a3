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

/** A test file of one project, with its own part of the numbers. */
export interface FileCounts {
  readonly project: string;
  readonly file: string;
  readonly counts: Counts;
}

/** What a run of vitest left behind. */
export interface Report {
  readonly counts: Counts;
  /** Files with a red test or hook. */
  readonly red: readonly FileCounts[];
}

/** Projects whose tests run real programs in real time. */
const realTime: readonly string[] = ['net', 'portable', 'desktop'];
/** More red files than these are no accident of the machine. */
const mostAgain = 4;

/** The red files that get a second run, in a world of their own: none where it cannot have been the machine. */
export function filesToRunAgain({ red }: Report): readonly FileCounts[] {
  const real = red.filter(({ project }) => realTime.includes(project));
  return real.length === red.length && real.length <= mostAgain ? real : [];
}

/** The numbers with those of a file's second run in the place of its first. */
export function replaceCounts(all: Counts, first: Counts, second: Counts): Counts {
  const skipped = [...all.skipped];
  for (const { name } of first.skipped) {
    const at = skipped.findIndex((one) => one.name === name);
    if (at >= 0) skipped.splice(at, 1);
  }
  const rest = { passed: all.passed - first.passed, failed: all.failed - first.failed, skipped };
  return addCounts(rest, second);
}
