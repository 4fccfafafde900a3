/** The demonstration of a whole device as people read it. */

import { describe, expect, test } from 'vitest';
import { stepLine } from '../../../../client/start/screen.ts';
import { type Findings, headline, picture, proof } from '../../../../client/start/whole-device-screen.ts';

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

describe('the demonstration of a whole device', () => {
  test('draws what was measured', () => {
    expect(picture(plain, found)).toMatchSnapshot();
  });

  test('says what was proven', () => {
    expect(proof(plain, found)).toMatchSnapshot();
  });

  test('keeps to 80 columns, also with the longest numbers', () => {
    const long = { ...found, downBps: 999_400_000, upBps: 123_400_000_000, connectMs: 12_345 };
    const all = `${headline(plain)}${picture(plain, long)}${proof(plain, long)}${stepLine(plain, 'x', 12_345)}`;

    for (const line of all.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('draws the same with colours', () => {
    const coloured = picture({ colour: true }, found);

    expect(coloured).toContain('\u001b[');
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[\d+m/g, '').replace(/ +$/gm, '')).toBe(picture(plain, found));
  });

  test('does not call counts the same that are not', () => {
    expect(proof(plain, { ...found, edgeReceivedBytes: 1_000_000 })).not.toContain('the same');
  });
});
