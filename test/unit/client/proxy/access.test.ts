import { expect, test } from 'vitest';
import { basicMatches, credentialsMatch, isLoopback, isSelf } from '../../../../client/proxy/access.ts';

const wanted = { username: 'anna', password: 'grün:1' };
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

test.each([
  ['127.0.0.1', true],
  ['127.255.0.9', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['128.0.0.1', false],
  ['::ffff:10.0.0.1', false],
  ['::2', false],
  ['fe80::1', false],
  ['', false],
  ['localhost', false],
])('%j is this machine: %s', (address, own) => {
  expect(isLoopback(address)).toBe(own);
});

test.each([
  ['127.0.0.1', 40_000, true],
  ['127.0.0.2', 40_000, true],
  ['::1', 40_000, true],
  ['0.0.0.0', 40_000, true],
  ['::', 40_000, true],
  ['localhost', 40_000, true],
  ['localhost.', 40_000, true],
  ['any.localhost', 40_000, true],
  ['127.0.0.1', 40_001, false],
  ['10.0.0.1', 40_000, false],
  ['example.com', 40_000, false],
  ['notlocalhost', 40_000, false],
])('%s port %d is the proxy itself: %s', (host, port, self) => {
  expect(isSelf({ host, port }, 40_000)).toBe(self);
});

test.each([
  ['anna', 'grün:1', true],
  ['anna', 'grün:2', false],
  ['Anna', 'grün:1', false],
  ['', '', false],
])('user %j with password %j may use it: %s', (username, password, allowed) => {
  expect(credentialsMatch(wanted, username, password)).toBe(allowed);
});

test.each([
  [basic('anna:grün:1'), true],
  [`basic  ${Buffer.from('anna:grün:1').toString('base64')}`, true],
  [basic('anna:grün:2'), false],
  [basic('anna'), false],
  ['Basic', false],
  ['Basic ***', false],
  ['Bearer abc', false],
  ['', false],
  [undefined, false],
])('the header %j opens it: %s', (header, allowed) => {
  expect(basicMatches(wanted, header)).toBe(allowed);
});
