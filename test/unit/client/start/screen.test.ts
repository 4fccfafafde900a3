/** The demonstration as people read it. */

import { describe, expect, test } from 'vitest';
import {
  bytesText,
  countsAgree,
  durationText,
  type Findings,
  liveLine,
  picture,
  proof,
  rateText,
  stepLine,
} from '../../../../client/start/screen.ts';

const plain = { colour: false };
const found: Findings = {
  clientAddress: '10.83.0.2',
  webAddress: '198.51.100.2',
  seenV4: '198.51.100.1',
  seenV6: '2001:db8:b::1',
  path: 'direct',
  connectMs: 412,
  handshakeMs: 1.25,
  roundTripMs: 0.84,
  downBps: 1_530_000_000,
  upBps: 987_000_000,
  sentBytes: 3_200_000,
  receivedBytes: 702_000_000,
  edgeReceivedBytes: 3_200_000,
  edgeSentBytes: 702_000_148,
};

describe('the demonstration', () => {
  test('draws what was measured', () => {
    expect(picture(plain, found)).toMatchSnapshot();
  });

  test('says what was proven', () => {
    expect(proof(plain, found)).toMatchSnapshot();
  });

  test('keeps to 80 columns, also with the longest numbers', () => {
    const long = { ...found, downBps: 999_400_000, upBps: 123_400_000_000, connectMs: 12_345 };

    for (const line of `${picture(plain, long)}${proof(plain, long)}${stepLine(plain, 'x', 12_345)}`.split(
      '\n',
    )) {
      expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  test('draws the same with colours', () => {
    const coloured = picture({ colour: true }, found);

    expect(coloured).toContain('\u001b[');
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[\d+m/g, '').replace(/ +$/gm, '')).toBe(picture(plain, found));
  });

  test('does not call counts the same that are not', () => {
    const lost = { ...found, edgeReceivedBytes: 1_000_000 };

    expect([countsAgree(found), countsAgree(lost)]).toEqual([true, false]);
    expect(proof(plain, lost)).not.toContain('the same');
  });

  test('shows one short line while it goes on', () => {
    const moment = { heading: 'Your internet is private', receivedBytes: 1500, sentBytes: 20, seconds: 75 };

    expect(liveLine(plain, moment)).toBe(
      '  ● Your internet is private  01:15  ↓ 1.5 kB  ↑ 20 B  Ctrl-C ends it',
    );
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
