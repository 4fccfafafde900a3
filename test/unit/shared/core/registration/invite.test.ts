import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatInvite,
  type Invite,
  maxInviteLength,
  parseInvite,
} from '../../../../../shared/core/registration/invite.ts';
import { isToken, makeToken, tokenKindOf } from '../../../../../shared/core/registration/tokens.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const seed = 5;
const invite: Invite = {
  host: 'edge.example.com',
  port: 8443,
  token: makeToken('invite', seededEntropy(1)),
  pin: new Uint8Array(32).fill(0xfb),
  edgeKey: new Uint8Array(32).fill(0xff),
};
const link = formatInvite(invite);

describe('an invitation', () => {
  test('is a link with token, pin and key that needs no escaping', () => {
    expect(link).toMatch(
      /^culvert:\/\/edge\.example\.com:8443\/join\?t=cve_[\w-]{43}&pin=sha256\/[\w-]{43}&k=[\w-]{43}$/,
    );
  });

  test('comes back as it was made, for names and addresses of both families', () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const host = fc.oneof(
      fc.constantFrom('edge.example.com', 'a', 'x_y.example', '192.0.2.1', '2001:db8::1', '::1'),
      fc.ipV4(),
    );
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), bytes, bytes, (host, port, pin, edgeKey) => {
        const one = { ...invite, host, port, pin, edgeKey };
        expect(parseInvite(formatInvite(one))).toEqual({ kind: 'invite', invite: one });
      }),
      { seed },
    );
  });

  test.each<[string, string, Partial<Invite>]>([
    ['white space around it', `  ${link}\n`, {}],
    ['an escaped slash', link.replace('sha256/', 'sha256%2F'), {}],
    ['capitals in scheme and host', link.replace('culvert://edge', 'CULVERT://Edge'), {}],
    ['parameters that nobody knows yet', `${link}&later=1`, {}],
    [
      'another spelling of an address',
      link.replace('edge.example.com', '[2001:DB8:0::1]'),
      { host: '2001:db8::1' },
    ],
  ])('is forgiven %s', (_what, text, changes) => {
    expect(parseInvite(text)).toEqual({ kind: 'invite', invite: { ...invite, ...changes } });
  });

  test.each<[string, string]>([
    ['not-culvert', 'https://edge.example.com/join'],
    ['not-culvert', ''],
    ['too-long', link + 'x'.repeat(maxInviteLength)],
    ['bad-host', link.replace('edge.example.com', '')],
    ['bad-host', link.replace('edge.example.com', 'user@edge.example.com')],
    ['bad-host', link.replace('edge.example.com', '[192.0.2.1]')],
    ['bad-host', link.replace('edge.example.com', '2001:db8::1')],
    ['bad-host', link.replace('edge.example.com', '192.0.2.256')],
    ['bad-host', link.replace('edge.example.com', 'edge..example')],
    ['bad-port', link.replace(':8443', '')],
    ['bad-port', link.replace('8443', '0')],
    ['bad-port', link.replace('8443', '65536')],
    ['bad-path', link.replace('/join', '/leave')],
    ['bad-token', link.replace('cve_', 'cvd_')],
    ['bad-token', link.replace(/t=[^&]*/, 't=')],
    ['bad-pin', link.replace('sha256/', 'sha512/')],
    ['bad-pin', link.replace(/pin=[^&]*&/, '')],
    ['bad-key', link.slice(0, -1)],
    ['bad-key', `${link.slice(0, -1)}9`],
    ['repeated', `${link}&t=${invite.token}`],
  ])('is refused as %s: %s', (why, text) => {
    expect(parseInvite(text)).toMatchObject({
      kind: 'refused',
      why,
      text: expect.stringMatching(/\.$|culvert/),
    });
  });

  test('never throws, whatever the text', () => {
    const part = fc.constantFrom(
      'culvert://',
      'a',
      ':',
      '1',
      '/join',
      '?',
      '&',
      't=',
      'pin=sha256/',
      '[',
      ']',
      '%',
      '#',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (text) => {
          expect(['invite', 'refused']).toContain(parseInvite(text).kind);
        },
      ),
      { seed },
    );
  });
});

describe('a token', () => {
  test('says by its prefix what it opens, and nothing else has its form', () => {
    const entropy = seededEntropy(2);
    for (const kind of ['invite', 'device', 'admin'] as const) {
      const token = makeToken(kind, entropy);

      expect(tokenKindOf(token)).toBe(kind);
      expect(makeToken(kind, entropy)).not.toBe(token);
      expect(isToken(kind, `${token}A`)).toBe(false);
      expect(isToken(kind, token.slice(0, -1))).toBe(false);
    }
    expect(tokenKindOf('cvx_')).toBeUndefined();
  });
});
