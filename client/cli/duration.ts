/** Durations as people write them: 20s, 500ms, 15m, 1h; a bare number is seconds. Pure. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, '': 1_000 };
const longestMs = 24 * 3_600_000;

/** Milliseconds, undefined where it is no duration or longer than a day. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim()) ?? [];
  const factor = unitMs[unit];
  if (digits === undefined || factor === undefined) return undefined;
  const durationMs = Number(digits) * factor;
  return durationMs <= longestMs ? durationMs : undefined;
}
