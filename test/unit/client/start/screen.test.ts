/** Lines and numbers that every demonstration shows. */

import { describe, expect, test } from 'vitest';
import {
  bytesText,
  countsAgree,
  durationText,
  liveLine,
  rateText,
  stepLine,
} from '../../../../client/start/screen.ts';

const plain = { colour: false };
const moment = {
  heading: 'Your internet is private',
  isConnected: true,
  receivedBytes: 1500,
  sentBytes: 20,
  seconds: 75,
};

describe('the line that goes on', () => {
  test('is one short line', () => {
    expect(liveLine(plain, moment)).toBe(
      '  ● Your internet is private  01:15  ↓ 1.5 kB  ↑ 20 B  Ctrl-C ends it',
    );
  });

  test('leaves out what has no room on 80 columns', () => {
    const heading = 'Programs that use the proxy are private';
    const line = liveLine(plain, { ...moment, heading, receivedBytes: 123.4e9, sentBytes: 123.4e9 });

    expect(line).toBe(`  ● ${heading}  01:15  ↓ 123.4 GB  ↑ 123.4 GB`);
    expect(line.length).toBeLessThanOrEqual(80);
  });

  test('changes its colour while there is no connection', () => {
    const coloured = { colour: true };

    expect(liveLine(coloured, { ...moment, isConnected: false })).not.toBe(liveLine(coloured, moment));
  });
});

describe('a step', () => {
  test('has its time on the right', () => {
    expect(stepLine(plain, 'a page', 12.3)).toBe(`  ✓ a page${' '.repeat(55)}   12 ms\n`);
  });
});

describe('two counts', () => {
  const same = { sentBytes: 1000, receivedBytes: 5000, edgeReceivedBytes: 1000, edgeSentBytes: 5040 };

  test.each([
    [same, true],
    [{ ...same, edgeReceivedBytes: 900 }, false],
    [{ ...same, edgeSentBytes: 5060 }, false],
  ])('%j agree: %s', (counts, agree) => {
    expect(countsAgree(counts)).toBe(agree);
  });
});

describe('numbers', () => {
  test.each([
    [durationText(0.84), '0.8 ms'],
    [durationText(9.96), '10 ms'],
    [durationText(1234), '1.2 s'],
    [rateText(1_530_000_000), '1.5 Gbit/s'],
    [rateText(702_400_000), '702 Mbit/s'],
    [rateText(64_000), '64 kbit/s'],
    [bytesText(999), '999 B'],
    [bytesText(1_500_000), '1.5 MB'],
  ])('%s reads as %s', (text, expected) => {
    expect(text).toBe(expected);
  });
});
