// What a report must never hold, sown into all that goes in; and what has to stay readable.
import { describe, expect, test } from 'vitest';
import { diagnosisText } from '../../../../client/diagnostics/bundle.ts';
import { Redactor } from '../../../../client/diagnostics/redact.ts';
import type { HostChange } from '../../../../client/host/journal.ts';
import type { Status } from '../../../../shared/core/control/status.ts';
import type { Run } from '../../../../shared/node/run.ts';

const key = 'qK1v0sXbTq7yYv3mJ8w2Zt5uR4nP6cD9eF0gH1iJ2kM=';
const secrets = [
  key,
  'qK1v0sXbTq7yYv3mJ8w2Zt5uR4nP6cD9eF0gH1iJ2kM',
  'a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90',
  'culvert://vpn.alice-private.org:8443/join?t=s3cr3tT0ken&pin=sha256/AAAA&k=BBBB',
  'https://bob:hunter2@resolver.alice-private.org/dns-query',
  '93.184.216.34',
  '2a00:1450:4001:82f::200e',
  '2A00:1450:4001:0:0:0:0:200E',
  '::ffff:93.184.216.34',
  'clinic.alice-private.org',
  'clinic.alice-private.org.',
  'xn--bcher-kva.de',
  'de:ad:be:ef:00:01',
  '/home/alice/culvert/client',
  'eyJhbGciOiJIUzI1NiJ9eyJzdWIiOiIxMjM0NTY3ODkwIn0',
];
const words = /alice|bcher|hunter2|s3cr3t|bob:|qK1v0|a1b2c3d4|93\.184|2a00:|de:ad:be|eyJhbGci|200e/i;

describe('the redaction', () => {
  test.each(secrets)('hides %s wherever it stands', (secret) => {
    for (const text of [
      secret,
      `"${secret}"`,
      `key=${secret},`,
      `(${secret})`,
      `at ${secret}: no`,
      `[${secret}]:443`,
    ]) {
      expect(new Redactor().redact(text)).not.toMatch(words);
    }
  });

  test.each([
    'default dev culvert0 table 8383 scope link',
    'throw 192.168.0.0/16',
    '10.83.0.2 fd7c::2 fe80::1 127.0.83.53:53 1.1.1.1 2606:4700:4700::1111',
    'https://1.1.1.1/dns-query edge.culvert',
    '8383:\tnot from all fwmark 0x8383 lookup 8383',
    'culvert 0.1.0 node v24.21.0 Linux 6.18.5 x86_64',
    '2026-11-20T12:00:00.123Z',
    'settings.json resolv.conf culvert.service',
    'meta l4proto tcp reject with tcp reset',
  ])('leaves %s readable', (text) => {
    expect(new Redactor().redact(text)).toBe(text);
  });

  test('gives the same thing the same label, and different things different ones', () => {
    const redactor = new Redactor();

    const text = redactor.redact('8.8.8.8 to 9.9.9.9, 8.8.8.8, A.example.org and a.example.org');

    expect(text).toBe('[public4-1] to [public4-2], [public4-1], [name-1] and [name-1]');
  });

  test('hides words of this machine, whatever their case', () => {
    const redactor = new Redactor([{ kind: 'machine', text: 'alices-laptop' }]);

    expect(redactor.redact('Alices-Laptop: ok; alices-laptops')).toBe('[machine-1]: ok; alices-laptops');
  });

  test('takes no longer for a hostile text than for any', () => {
    const redactor = new Redactor();

    for (const text of ['a.'.repeat(50_000), '1:'.repeat(50_000), 'A'.repeat(100_000), '1.'.repeat(50_000)]) {
      expect(redactor.redact(text).length).toBeGreaterThan(0);
    }
  });
});

describe('the report', () => {
  const status = {
    state: 'connected',
    mode: 'tunnel+doh',
    since: '2026-11-20T12:00:00Z',
    edge: { name: 'alices-home', endpoint: '93.184.216.34:51820', transport: 'udp' },
    addresses: ['10.83.0.2'],
    traffic: { rxBytes: 1, txBytes: 2 },
    health: [],
    version: '0.1.0',
  } as Status;
  const changes: HostChange[] = [
    {
      kind: 'resolv-conf',
      path: '/etc/resolv.conf',
      before: { kind: 'file' },
      written: 'search alice-private.org',
    } as never,
    { kind: 'nft-table', family: 'inet', table: 'culvert' },
  ];
  const run: Run = async (program, parameters) => {
    if (program === 'nft') throw new Error(`no ${secrets.join(' ')}`);
    return { exitCode: 0, stdout: `${parameters.join(' ')} ${secrets.join(' ')}`, stderr: '' };
  };
  const sources = {
    status,
    settings: [
      { name: 'mode', value: 'doh', default: 'tunnel+doh', text: '' },
      { name: 'dns.fallback', value: 'clinic-of-alice', default: '', text: '' },
      { name: 'proxy.password', value: '(set)', default: '', text: '' },
    ],
    logs: {
      read: () => ({
        lines: [
          JSON.stringify({ level: 'info', msg: `state changed ${secrets.join(' ')}` }),
          JSON.stringify({ level: 'debug', msg: 'asked for a-name-without-dots-of-alice' }),
          'rubbish of alice',
        ],
      }),
    },
    journal: { pending: () => changes },
    run,
  };

  test('holds nothing of what was sown into its sources', async () => {
    const text = await diagnosisText(sources);

    expect(text).not.toMatch(words);
  });

  test('tells what helps', async () => {
    const text = await diagnosisText(sources);

    expect(text).toContain('culvert 0.1.0');
    expect(text).toContain('"state": "connected"');
    expect(text).toContain('mode = doh');
    expect(text).toContain('dns.fallback = (changed)');
    expect(text).toContain('resolv-conf path=/etc/resolv.conf');
    expect(text).toContain('state changed');
    expect(text).toContain('== our firewall\n(not available');
  });
});
