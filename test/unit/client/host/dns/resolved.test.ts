import { expect, test } from 'vitest';
import { knowsResolvedLink, resolvedCalls } from '../../../../../client/host/dns/resolved.ts';

test('tells resolved both families, every name, and no protocol around us', () => {
  const calls = resolvedCalls({ index: 7, servers: ['127.0.83.53', 'fd7c::53'] });

  expect(calls.map((words) => words.join(' '))).toMatchInlineSnapshot(`
    [
      "SetLinkDNS ia(iay) 7 2 2 4 127 0 83 53 10 16 253 124 0 0 0 0 0 0 0 0 0 0 0 0 0 83",
      "SetLinkDomains ia(sb) 7 1 . true",
      "SetLinkDefaultRoute ib 7 true",
      "SetLinkLLMNR is 7 no",
      "SetLinkMulticastDNS is 7 no",
      "SetLinkDNSSEC is 7 no",
      "SetLinkDNSOverTLS is 7 no",
      "FlushCaches",
    ]
  `);
});

test.for([
  ['what it was told', 0, 'a(iay) 1 2 4 127 0 83 53\n', 0, true],
  ['nothing', 0, 'a(iay) 0\n', 0, false],
  ['another server', 0, 'a(iay) 1 2 4 192 0 2 1\n', 0, false],
  ['no such link', 1, '', 0, false],
  ['no answer at all', 1, '', 1, undefined],
] as const)('resolved knows %s', async ([, exitCode, stdout, ping, knows]) => {
  const asked: string[] = [];
  const link = { index: 12, servers: ['127.0.83.53'] };

  const answer = await knowsResolvedLink(link, async (_program, words) => {
    asked.push(words.join(' '));
    return asked.length === 1 ? { exitCode, stdout, stderr: '' } : { exitCode: ping, stdout: '', stderr: '' };
  });

  expect(answer).toBe(knows);
  expect(asked[0]).toContain(' /org/freedesktop/resolve1/link/_312 ');
});
