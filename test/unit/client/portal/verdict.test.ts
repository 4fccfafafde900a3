// What answers from a network mean: the table is the specification.
import { describe, expect, test } from 'vitest';
import { probeOf, probesOf, signInUrl, urlOf, usualProbes } from '../../../../client/portal/endpoints.ts';
import { isHostText, mayHoldSignIn, withAddresses } from '../../../../client/portal/places.ts';
import { judgeReply, type ProbeAnswer } from '../../../../client/portal/reply.ts';
import { judgePortal } from '../../../../client/portal/verdict.ts';

const signIn: ProbeAnswer = { kind: 'sign-in', places: [{ host: 'login.example', port: 443 }] };
const honest: ProbeAnswer = { kind: 'honest' };
const edge: ProbeAnswer = { kind: 'edge' };
const silent: ProbeAnswer = { kind: 'silent' };
const refused: ProbeAnswer = { kind: 'refused' };
const garbage: ProbeAnswer = { kind: 'garbage' };
const unresolved: ProbeAnswer = { kind: 'unresolved' };
const impostor: ProbeAnswer = { kind: 'impostor', issuer: 'Inspection CA' };

describe('judgePortal', () => {
  test.each<[string, readonly ProbeAnswer[], string]>([
    ['everything is as it should be', [edge, honest, honest, honest], 'online sure'],
    ['the edge answers and every page is faked', [edge, signIn, signIn, signIn], 'online sure'],
    ['the edge is down, the Internet is there', [silent, honest, honest, honest], 'online'],
    ['the edge is down, one page is filtered', [silent, honest, refused, honest], 'online'],
    ['a school replaces one page of three', [silent, honest, signIn, honest], 'online'],
    ['one honest page, the others silent', [silent, honest, silent, silent], 'online'],
    ['as many honest pages as replaced ones', [silent, honest, signIn, silent], 'online'],
    ['every page leads to the sign-in', [silent, signIn, signIn, signIn], 'portal'],
    ['the sign-in also holds the TLS of the edge', [impostor, signIn, signIn, signIn], 'portal'],
    ['only the first stage of a sign-in answers', [silent, signIn, silent, unresolved], 'portal'],
    ['a 204 is faked, the others lead to the sign-in', [silent, honest, signIn, signIn], 'portal'],
    ['one page is replaced, one is garbage', [silent, signIn, garbage, silent], 'portal'],
    ['nothing comes back', [silent, silent, silent, silent], 'no-internet'],
    ['no name is known', [silent, unresolved, unresolved, unresolved], 'no-internet'],
    ['nothing was asked', [], 'no-internet'],
    ['all pages are filtered', [silent, refused, refused, refused], 'unknown'],
    ['what comes back is no HTTP', [silent, garbage, garbage, garbage], 'unknown'],
    [
      'TLS is held by somebody else, pages are silent',
      [impostor, silent, silent, silent],
      'unknown intercepted',
    ],
    [
      'TLS is held by somebody else, pages are garbage',
      [impostor, garbage, refused, silent],
      'unknown intercepted',
    ],
    ['TLS is held by somebody else, pages are honest', [impostor, honest, honest, honest], 'online'],
  ])('%s', (_title, answers, expected) => {
    const verdict = judgePortal(answers);

    const detail =
      verdict.kind === 'online' && verdict.sure
        ? ' sure'
        : verdict.kind === 'unknown' && verdict.intercepted
          ? ' intercepted'
          : '';
    expect(verdict.kind + detail).toBe(expected);
  });

  test('names who signs what TLS shows', () => {
    expect(judgePortal([impostor, silent])).toEqual({
      kind: 'unknown',
      intercepted: true,
      issuer: 'Inspection CA',
    });
  });
});

describe('judgeReply', () => {
  const no = { status: 204 } as const;
  const page = { status: 200, text: 'Success' } as const;

  test.each<[string, string, typeof no | typeof page, string]>([
    ['an honest 204', 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n', no, 'honest'],
    ['a 204 with a body', 'HTTP/1.1 204 No Content\r\n\r\n<html>', no, 'sign-in'],
    ['an honest page', 'HTTP/1.0 200 OK\r\n\r\n<TITLE>Success</TITLE>', page, 'honest'],
    ['another page', 'HTTP/1.1 200 OK\r\n\r\nPay here', page, 'sign-in'],
    [
      'a long page that quotes the word',
      `HTTP/1.1 200 OK\r\n\r\nSuccess${'x'.repeat(2000)}`,
      page,
      'sign-in',
    ],
    ['a page where none is due', 'HTTP/1.1 200 OK\r\n\r\nPay here', no, 'sign-in'],
    ['a redirect', 'HTTP/1.1 302 Found\r\nLocation: http://login.example/x\r\n\r\n', no, 'sign-in'],
    ['RFC 6585', 'HTTP/1.1 511 Network Authentication Required\r\n\r\n', no, 'sign-in'],
    ['a filter', 'HTTP/1.1 403 Forbidden\r\n\r\nblocked', no, 'refused'],
    ['a broken server', 'HTTP/1.1 502 Bad Gateway\r\n\r\n', no, 'refused'],
    ['TLS where HTTP was asked', '\x15\x03\x01\x00\x02\x02\x16', no, 'garbage'],
    ['an SSH server', 'SSH-2.0-OpenSSH_9.2\r\n', no, 'garbage'],
    ['a status that is none', 'HTTP/1.1 2x4 No\r\n\r\n', no, 'garbage'],
    ['nothing', '', no, 'silent'],
  ])('%s', (_title, text, expect_, kind) => {
    expect(judgeReply(text, expect_, 'probe.example').kind).toBe(kind);
  });

  test.each([
    ['in the header', 'HTTP/1.1 302 Found\r\nLOCATION: https://login.example:8443/a?b\r\n\r\n'],
    [
      'in the page',
      'HTTP/1.1 200 OK\r\n\r\n<meta http-equiv="refresh" content="0; url=https://login.example:8443/">',
    ],
    ['in its form', 'HTTP/1.1 200 OK\r\n\r\n<form method=post action="https://login.example:8443/in">'],
    [
      'in its script',
      'HTTP/1.1 200 OK\r\n\r\n<script>window.location.href = "https://login.example:8443/"</script>',
    ],
    ['for phones', 'HTTP/1.1 200 OK\r\n\r\n<!--<LoginURL>https://login.example:8443/w</LoginURL>-->'],
  ])('finds where the sign-in is, %s', (_title, text) => {
    expect(judgeReply(text, { status: 204 }, 'probe.example')).toEqual({
      kind: 'sign-in',
      places: [{ host: 'login.example', port: 8443 }],
    });
  });

  test('takes no place that is no host, and then the one that was asked', () => {
    for (const bad of [
      'javascript:alert(1)',
      'file:///etc/passwd',
      'http://a b/',
      '/login',
      'http://"quote"/',
    ]) {
      const text = `HTTP/1.1 302 Found\r\nLocation: ${bad}\r\n\r\n`;
      expect(judgeReply(text, { status: 204 }, 'probe.example')).toEqual({
        kind: 'sign-in',
        places: [{ host: 'probe.example', port: 80 }],
      });
    }
  });
});

describe('the places of a sign-in', () => {
  test('are reached at the ports of the web and at the one that was named', () => {
    const found = withAddresses([], { host: 'login.example', port: 8443 }, ['192.0.2.7']);

    expect(found).toEqual([80, 443, 8443].map((port) => ({ address: '192.0.2.7', port })));
    expect(withAddresses(found, { host: 'login.example', port: 443 }, ['192.0.2.7'])).toEqual(found);
  });

  test('are bounded, whatever the network answers', () => {
    const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`);

    expect(withAddresses([], { host: 'login.example', port: 443 }, many)).toHaveLength(32);
  });

  test.each([
    ['127.0.0.1', false],
    ['0.0.0.0', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['::1', false],
    ['::', false],
    ['::ffff:127.0.0.1', false],
    ['ff02::1', false],
    ['nonsense', false],
    ['10.0.0.1', true],
    ['192.168.1.1', true],
    ['203.0.113.9', true],
    ['fe80::1', true],
    ['2001:db8::1', true],
  ])('%s may hold one: %s', (address, may) => {
    expect(mayHoldSignIn(address)).toBe(may);
  });

  test.each([
    ['login.example', true],
    ['192.0.2.1', true],
    ['fe80::1', true],
    ['a b', false],
    ['x;drop', false],
    ['', false],
    ['a'.repeat(254), false],
  ])('%s is a host: %s', (text, is) => {
    expect(isHostText(text)).toBe(is);
  });
});

describe('the probes', () => {
  test('are the usual ones, until the setting names others', () => {
    expect(probesOf('')).toBe(usualProbes);
    expect(probesOf('http://192.0.2.9/generate_204, http://a.example:8080/x?y#all%20well')).toEqual([
      { host: '192.0.2.9', port: 80, path: '/generate_204', expect: { status: 204 } },
      { host: 'a.example', port: 8080, path: '/x?y', expect: { status: 200, text: 'all well' } },
    ]);
  });

  test.each(['https://a.example/', 'ftp://a/', 'nonsense', 'http://user:pw@a.example/', ''])(
    'refuses %s',
    (item) => {
      expect(probeOf(item)).toBeUndefined();
    },
  );

  test('offer a page to a person, and never one that the network named', () => {
    expect(signInUrl(usualProbes)).toBe('http://captive.apple.com/hotspot-detect.html');
    expect(signInUrl(probesOf('http://192.0.2.9:8080/g'))).toBe('http://192.0.2.9:8080/g');
    expect(signInUrl([])).toBeUndefined();
    expect(urlOf({ host: '2001:db8::1', port: 80, path: '/', expect: { status: 204 } })).toBe(
      'http://[2001:db8::1]/',
    );
  });
});
