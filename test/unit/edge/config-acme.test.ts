/** The key certificate.acme of edge.yaml. */

import { describe, expect, test } from 'vitest';
import { parseEdgeConfig } from '../../../edge/config.ts';
import type { AcmeConfig } from '../../../edge/config-acme.ts';

const minimal = 'network: { v4: 10.83.0.0/16 }\n';

function read(acme: string, beside = ''): AcmeConfig | undefined {
  const text = `${minimal}certificate: { ${beside}acme: { ${acme} } }\n`;
  return parseEdgeConfig(text, {
    fileName: 'edge.yaml',
    folder: '/edge',
    dataFolder: '/data',
    readSecretKey: () => undefined,
    readSecretText: () => '',
  }).config.acme;
}

describe('certificate.acme', () => {
  test('needs names and the agreement to the terms alone', () => {
    expect(read('domains: [Edge.Example.com], agreeTos: true')).toEqual({
      domains: ['edge.example.com'],
      email: undefined,
      directory: 'https://acme-v02.api.letsencrypt.org/directory',
      rootsFile: undefined,
      proof: 'auto',
      httpPort: 80,
    });
  });

  test('takes an authority of one’s own', () => {
    const own =
      'directory: "https://ca.lan/dir", rootsFile: ca.pem, proof: http-01, httpPort: 8080, email: a@b.example';

    expect(read(`domains: [edge.lan.example], agreeTos: true, ${own}`)).toMatchObject({
      directory: 'https://ca.lan/dir',
      rootsFile: '/edge/ca.pem',
      proof: 'http-01',
      httpPort: 8080,
      email: 'a@b.example',
    });
  });

  test.each([
    ['no names', 'domains: [], agreeTos: true', 'domains needs a host name'],
    ['a wildcard', 'domains: ["*.example.com"], agreeTos: true', 'without *'],
    ['an address', 'domains: [192.0.2.1], agreeTos: true', 'must be a whole host name'],
    ['a name without a dot', 'domains: [edge], agreeTos: true', 'must be a whole host name'],
    ['no agreement', 'domains: [edge.example.com]', 'agreeTos is missing'],
    ['a refusal', 'domains: [edge.example.com], agreeTos: false', 'agreeTos must be true'],
    ['an agreement in words', 'domains: [edge.example.com], agreeTos: "yes"', 'agreeTos must be true'],
    ['a directory without TLS', 'domains: [a.example], agreeTos: true, directory: "http://ca"', 'https://'],
    [
      'two mail addresses',
      'domains: [a.example], agreeTos: true, email: "a@b.example,c@d.example"',
      'one mail',
    ],
    ['another proof', 'domains: [a.example], agreeTos: true, proof: dns-01', 'it can be auto'],
    ['a key that is mistyped', 'domains: [a.example], agreeTos: true, mail: x', 'unknown key'],
  ])('refuses %s with its line', (_title, acme, words) => {
    expect(() => read(acme)).toThrow(new RegExp(`edge.yaml:2: .*${words.replaceAll('*', '\\*')}`));
  });

  test('cannot stand beside files', () => {
    const both = 'certificateFile: a.pem, keyFile: b.pem, ';
    expect(() => read('domains: [a.example], agreeTos: true', both)).toThrow(/either files or acme/);
  });
});
