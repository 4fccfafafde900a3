import { expect, test } from 'vitest';
import { Deadlines } from '../../../../../shared/core/base/deadlines.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';

const reasons = ['rekey', 'keepalive', 'expire'] as const;

test('has nothing to say while nothing is set', () => {
  const deadlines = new Deadlines(reasons);

  expect(deadlines.nextAt()).toBe(Infinity);
  expect(deadlines.nextReason()).toBeUndefined();
  expect(deadlines.next()).toBeUndefined();
  expect(deadlines.takeDue(monoMs(1e15))).toBeUndefined();
});

test('names the earliest deadline and its reason', () => {
  const deadlines = new Deadlines(reasons);
  deadlines.set('rekey', monoMs(300));
  deadlines.set('expire', monoMs(100));
  deadlines.set('keepalive', monoMs(200));

  expect(deadlines.next()).toEqual({ at: 100, reason: 'expire' });
  expect(deadlines.nextAt()).toBe(100);
});

test('moves a deadline that is set again, in both directions', () => {
  const deadlines = new Deadlines(reasons);
  deadlines.set('rekey', monoMs(300));
  deadlines.set('rekey', monoMs(100));
  expect(deadlines.get('rekey')).toBe(100);

  deadlines.set('rekey', monoMs(500));
  expect(deadlines.nextAt()).toBe(500);
});

test('forgets what is cleared', () => {
  const deadlines = new Deadlines(reasons);
  deadlines.set('rekey', monoMs(1));
  deadlines.set('expire', monoMs(2));

  deadlines.clear('rekey');
  expect(deadlines.isSet('rekey')).toBe(false);
  expect(deadlines.get('rekey')).toBeUndefined();
  expect(deadlines.nextReason()).toBe('expire');

  deadlines.clearAll();
  expect(deadlines.nextAt()).toBe(Infinity);
});

test('gives what is due once, in the order of time, then of the table', () => {
  const deadlines = new Deadlines(reasons);
  deadlines.set('expire', monoMs(5));
  deadlines.set('keepalive', monoMs(7));
  deadlines.set('rekey', monoMs(7));

  expect(deadlines.takeDue(monoMs(4))).toBeUndefined();
  expect(deadlines.takeDue(monoMs(7))).toBe('expire');
  expect(deadlines.takeDue(monoMs(7))).toBe('rekey');
  expect(deadlines.takeDue(monoMs(7))).toBe('keepalive');
  expect(deadlines.takeDue(monoMs(7))).toBeUndefined();
});

test('keeps time zero apart from no time', () => {
  const deadlines = new Deadlines(reasons);
  deadlines.set('rekey', monoMs(0));

  expect(deadlines.get('rekey')).toBe(0);
  expect(deadlines.takeDue(monoMs(0))).toBe('rekey');
});

test('calls a reason that is not in the table, or twice in it, a bug', () => {
  expect(() => new Deadlines<string>(['a', 'a'])).toThrow();
  expect(() => new Deadlines<string>(['a']).set('b', monoMs(1))).toThrow();
});
