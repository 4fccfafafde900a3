/** Durations, sizes and tables as people write and read them. Pure. */

import { CulvertError } from '../../shared/core/control/codes.ts';

const seconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const bytes: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** '15m' → 900. */
export function parseSeconds(text: string): number {
  const [, count = '', unit = ''] = /^([1-9][0-9]{0,8})([smhd])$/.exec(text) ?? [];
  const size = seconds[unit];
  if (count !== '' && size !== undefined) return Number(count) * size;
  throw new CulvertError('bad-usage', {
    text: `"${text}" is no duration.`,
    remedy: 'Write it as 90s, 15m, 12h or 7d.',
  });
}

/** '10GB' → 10 000 000 000; 'none' → 0. */
export function parseBytes(text: string): number {
  if (text === 'none') return 0;
  const [, count = '', unit = ''] = /^([0-9]{1,15}(?:\.[0-9]{1,3})?)([KMGT]?)B?$/i.exec(text) ?? [];
  const size = bytes[unit.toUpperCase()];
  const amount = Math.round(Number(count) * (size ?? 0));
  if (count !== '' && size !== undefined && Number.isSafeInteger(amount)) return amount;
  throw new CulvertError('bad-usage', {
    text: `"${text}" is no amount of bytes.`,
    remedy: 'Write it as 500MB, 10GB, 1.5TB or none.',
  });
}

export function parseCount(text: string): number {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new CulvertError('bad-usage', { text: `"${text}" is no number.` });
}

/** Columns in line, two blanks between, the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** '2027-01-31 12:00 UTC'. */
export function whenText(text: string | undefined): string {
  return text === undefined ? 'never' : `${text.slice(0, 16).replace('T', ' ')} UTC`;
}
