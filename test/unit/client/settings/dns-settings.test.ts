import { expect, test } from 'vitest';
import { upstreamTexts } from '../../../../client/resolver/private-dns.ts';
import {
  defaultDnsSettings,
  dnsRules,
  edgeDnsSettings,
  fallbackOf,
  fallbackRules,
  formatFallback,
  privateDnsSettings,
  stubPlaces,
} from '../../../../client/settings/dns-settings.ts';

test.each([
  ['dns.families', 'malware', 'malware'],
  ['dns.families', 'adult', undefined],
  [
    'dns.upstreams',
    ' https://9.9.9.9/dns-query , tls://dns.example ',
    'https://9.9.9.9/dns-query,tls://dns.example',
  ],
  ['dns.upstreams', 'https://9.9.9.9/dns-query,ftp://x', undefined],
  ['dns.upstreams', '', ''],
  ['dns.listen', '127.0.0.9:5300', '127.0.0.9:5300'],
  ['dns.listen', '[::1]:53', '[::1]:53'],
  ['dns.listen', 'localhost:53', undefined],
  ['dns.system', 'resolved', 'resolved'],
  ['dns.fallback', 'Office.Example=192.0.2.1+192.0.2.2@tunnel', 'Office.Example=192.0.2.1+192.0.2.2@tunnel'],
  ['dns.fallback', 'office.example=printer', undefined],
  ['dns.block', '*.Ads.example., x.example', 'ads.example,x.example'],
  ['dns.block', 'a..b', undefined],
  ['dns.queryLog', 'on', true],
] as const)('%s takes %j as %j', (name, value, expected) => {
  expect(dnsRules[name][1](value)).toBe(expected);
});

test('rules of the network survive being written down', () => {
  for (const text of ['lan.example', 'a.example=192.0.2.1', 'b.example=fd00::1+192.0.2.1@tunnel']) {
    const rule = fallbackOf(text);

    expect(rule === undefined ? undefined : formatFallback(rule)).toBe(text);
  }
});

test('the resolver is given what the settings say', () => {
  const settings = {
    ...defaultDnsSettings,
    'dns.families': 'full' as const,
    'dns.fallback': 'office.example=192.0.2.1',
  };

  const given = privateDnsSettings(settings, 'dot');

  expect(upstreamTexts(given)[0]).toBe('tls://1.1.1.3');
  expect(fallbackRules(settings)).toEqual([
    { name: 'office.example', servers: ['192.0.2.1'], via: 'network' },
  ]);
});

test('in mode tunnel there is a stub for rules alone, which asks the edge and has no list of ours', () => {
  const settings = {
    ...defaultDnsSettings,
    'dns.families': 'full' as const,
    'dns.block': 'ads.example',
    'dns.upstreams': 'https://9.9.9.9/dns-query',
  };

  const given = edgeDnsSettings({ ...settings, 'dns.fallback': 'office.example' }, ['10.83.0.1', 'fd00::1']);

  expect(edgeDnsSettings(settings, ['10.83.0.1'])).toBeUndefined();
  expect(given === undefined ? [] : upstreamTexts(given)).toEqual(['udp://10.83.0.1', 'udp://[fd00::1]']);
  expect(given).toMatchObject({ transport: 'edge', families: 'off', block: [], blockFiles: [] });
  expect(given?.fallback).toEqual([{ name: 'office.example', servers: [], via: 'network' }]);
});

test('the stub tries the port of DNS first, then one that needs no rights', () => {
  expect(stubPlaces(defaultDnsSettings)).toEqual([
    { address: '127.0.83.53', port: 53 },
    { address: '127.0.0.1', port: 5053 },
  ]);
  expect(stubPlaces({ ...defaultDnsSettings, 'dns.listen': '[::1]:5353' })).toEqual([
    { address: '::1', port: 5353 },
  ]);
});
