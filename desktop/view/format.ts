// Numbers and times in the words of a language. Pure.
import type { Quickness } from './texts/catalogue.ts';

const units = ['kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
const thousand = 1000;
const quickBelowMs = 50;
const fineBelowMs = 120;
const minuteS = 60;

/** 1234567 → '1.2 MB'. */
export function bytes(tag: string, count: number): string {
  return scaled(tag, count, (unit) => unit);
}

/** Bytes per second → '1.2 MB/s'. */
export function rate(tag: string, bytesPerSecond: number): string {
  return scaled(tag, bytesPerSecond, (unit) => `${unit}-per-second`);
}

function scaled(tag: string, count: number, unitOf: (unit: string) => string): string {
  let value = Math.max(0, count) / thousand;
  let step = 0;
  while (value >= thousand && step < units.length - 1) {
    value /= thousand;
    step++;
  }
  return new Intl.NumberFormat(tag, {
    style: 'unit',
    unit: unitOf(units[step] ?? 'kilobyte'),
    maximumFractionDigits: value < 10 && step > 0 ? 1 : 0,
  }).format(value);
}

/** 14.2 → '14 ms'. */
export function delay(tag: string, ms: number): string {
  return new Intl.NumberFormat(tag, {
    style: 'unit',
    unit: 'millisecond',
    maximumFractionDigits: ms < 10 ? 1 : 0,
  }).format(ms);
}

/** The same for screen readers: '14 milliseconds'. */
export function spokenDelay(tag: string, ms: number): string {
  return new Intl.NumberFormat(tag, {
    style: 'unit',
    unit: 'millisecond',
    unitDisplay: 'long',
    maximumFractionDigits: 0,
  }).format(ms);
}

export function quickness(ms: number): Quickness {
  if (ms < quickBelowMs) return 'quick';
  return ms < fineBelowMs ? 'fine' : 'slow';
}

/** What is left until `until` (RFC 3339): '4:32'; '0:00' once it is over or where it is no time. */
export function countdown(until: string, wall: number): string {
  const left = Math.max(0, Math.ceil((Date.parse(until) - wall) / thousand) || 0);
  return `${Math.floor(left / minuteS)}:${String(left % minuteS).padStart(2, '0')}`;
}

/** RFC 3339 → '14:05' or '2:05 PM', on the clock of this computer. */
export function clockTime(tag: string, at: string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return '';
  return new Intl.DateTimeFormat(tag, { hour: 'numeric', minute: '2-digit' }).format(time);
}
