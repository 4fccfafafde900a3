/** The demonstration without root as people read it. */

import { describe, expect, test } from 'vitest';
import {
  headline,
  howTo,
  type ProxyFindings,
  picture,
  proof,
} from '../../../../client/start/proxy-screen.ts';

const plain = { colour: false };
const found: ProxyFindings = {
  proxyPort: 40_000,
  edgePort: 51_820,
  trace: new Map([
    ['device', 'you'],
    ['edge', 'demo'],
    ['path', 'direct'],
    ['transport', 'udp'],
    ['ip', '10.83.0.2'],
  ]),
  connectMs: 312,
  handshakeMs: 2.25,
  roundTripMs: 1.14,
  downBps: 1_230_000_000,
  isRoot: false,
  publicAddress: undefined,
  sentBytes: 1_200_000,
  receivedBytes: 202_000_000,
  edgeReceivedBytes: 1_200_000,
  edgeSentBytes: 202_000_148,
};

describe('the demonstration without root', () => {
  test('draws what was measured', () => {
    expect(picture(plain, found)).toMatchSnapshot();
  });

  test('says what was proven', () => {
    expect(proof(plain, found)).toMatchSnapshot();
  });

  test('says what a public page saw, where one was asked', () => {
    expect(proof(plain, { ...found, publicAddress: '192.0.2.7' })).toMatch(/a public page saw 192\.0\.2\.7/);
  });

  test('keeps to 80 columns, also with the longest values', () => {
    const long: ProxyFindings = {
      ...found,
      edgePort: 65_535,
      downBps: 123_400_000_000,
      connectMs: 12_345,
      isRoot: true,
      publicAddress: '2001:db8:1234:1234:1234:1234:1234:1234',
      trace: new Map([...found.trace, ['ip', 'fd83:0:0:1::2']]),
    };
    const texts = [
      picture(plain, long),
      proof(plain, long),
      headline(plain, false),
      headline(plain, true),
      howTo(plain, 54_321),
    ];

    for (const line of texts.join('\n').split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('tells the command with the port that there is', () => {
    expect(howTo(plain, 40_000)).toContain('curl -x socks5h://127.0.0.1:40000 http://edge.culvert/trace');
    expect(howTo(plain, 40_000)).not.toContain('Another program');
    expect(howTo(plain, 40_123)).toContain('socks5h://127.0.0.1:40123');
    expect(howTo(plain, 40_123)).toContain('Another program has port 40000');
  });

  test('promises to contact nobody only where that is so', () => {
    expect(
      [headline(plain, false), headline(plain, true)].map((text) => /No public address/.test(text)),
    ).toEqual([true, false]);
  });
});
