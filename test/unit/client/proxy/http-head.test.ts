import { describe, expect, test } from 'vitest';
import {
  encodeAnswer,
  endToEnd,
  framingOf,
  outboundHeaders,
  tokensOf,
} from '../../../../client/proxy/http-head.ts';

const target = { host: 'a.example', port: 8080, path: '/', authority: 'a.example:8080' };

describe('headers on their way through', () => {
  test('lose what is hop by hop and what Connection names, and keep order, spelling and repetitions', () => {
    const hopByHop =
      'Connection: keep-alive, X-Hop|X-Hop: 1|Proxy-Connection: keep-alive|Proxy-Authorization: Basic eA==|' +
      'TE: trailers|Trailer: x|Keep-Alive: timeout=5|Upgrade: h2c|HTTP2-Settings: A|Transfer-Encoding: chunked';
    const others = 'Set-Cookie: a=1|sET-cookie: b=2|ACCEPT: */*';
    const headers = `${hopByHop}|${others}`.split('|').flatMap((line) => line.split(': '));

    expect(endToEnd(headers)).toEqual(['Set-Cookie', 'a=1', 'sET-cookie', 'b=2', 'ACCEPT', '*/*']);
  });

  test('keep the length of the body although Connection names it', () => {
    expect(endToEnd(['Connection', 'Content-Length, close', 'Content-Length', '3'])).toEqual([
      'Content-Length',
      '3',
    ]);
  });

  test('get their Host from the target, in first place, and nothing that tells of a proxy', () => {
    const headers = outboundHeaders(['Accept', '*/*', 'Host', 'evil.example'], target, 'GET');

    expect(headers).toEqual(['Host', 'a.example:8080', 'Accept', '*/*']);
  });

  test.each<[string[], string, string[]]>([
    [['Transfer-Encoding', 'chunked'], 'GET', ['Transfer-Encoding', 'chunked']],
    [['Content-Length', '5'], 'POST', ['Content-Length', '5']],
    [[], 'POST', ['Content-Length', '0']],
    [[], 'DELETE', []],
    [[], 'HEAD', []],
  ])('frame a body as it came: %j of %s', (headers, method, expected) => {
    expect(outboundHeaders(headers, target, method).slice(2)).toEqual(expected);
  });
});

test.each<[string[], string]>([
  [[], 'none'],
  [['content-length', '0'], 'length'],
  [['Transfer-Encoding', 'Chunked'], 'chunked'],
  [['Transfer-Encoding', 'gzip, chunked'], 'unknown'],
  [['Transfer-Encoding', 'gzip', 'transfer-encoding', 'chunked'], 'unknown'],
])('the framing of %j is %s', (headers, framing) => {
  expect(framingOf(headers)).toBe(framing);
});

test('tokens are found across repeated headers, without case and empty members', () => {
  expect(tokensOf(['Connection', 'a, ,B', 'CONNECTION', ' c'], 'connection')).toEqual(['a', 'b', 'c']);
});

test('an answer of our own says its length in bytes and ends the connection', () => {
  const text = encodeAnswer({ status: 503, sentence: 'Grüße' }).toString('latin1');

  expect(text).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
  expect(text).toContain('Content-Length: 8\r\n');
  expect(text).toContain('Connection: close\r\n');
});
