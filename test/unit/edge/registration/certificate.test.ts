import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type CertificateWish,
  loadCertificate,
  readOrCreateCertificate,
} from '../../../../edge/registration/certificate.ts';
import { integer, objectId, time } from '../../../../edge/registration/der.ts';
import { type UnixMs, unixMs } from '../../../../shared/core/base/time.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const folder = mkdtempSync(join(tmpdir(), 'culvert-certificate-'));
afterAll(() => rmSync(folder, { recursive: true }));

const now: UnixMs = unixMs(Date.UTC(2026, 10, 21));
const year = 365 * 24 * 3_600_000;
let count = 0;

function wish(changes: Partial<CertificateWish> = {}): CertificateWish {
  const base = join(folder, `c${count++}`);
  return {
    keyFile: `${base}.key`,
    certificateFile: `${base}.crt`,
    names: ['edge.example.com', '192.0.2.1', '2001:db8::1'],
    now,
    entropy: seededEntropy(count),
    ...changes,
  };
}

describe('the edge’s own certificate', () => {
  test('is one that others read: names, time, use, signature', () => {
    const one = wish();

    const made = readOrCreateCertificate(one);

    const parsed = new X509Certificate(made.certificate);
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(parsed.checkHost('edge.example.com')).toBe('edge.example.com');
    expect(parsed.checkIP('192.0.2.1')).toBe('192.0.2.1');
    expect(parsed.checkIP('2001:db8::1')).toBe('2001:db8::1');
    expect(parsed.checkHost('other.example.com')).toBeUndefined();
    expect(parsed.validFromDate.getTime()).toBe(now - 2 * 24 * 3_600_000);
    expect(parsed.validToDate.getTime()).toBe(now + 10 * year);
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(parsed.ca).toBe(false);
    expect(parsed.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(statSync(one.keyFile).mode & 0o777).toBe(0o600);
  });

  test('stays, and is renewed before its end with the same key and so the same pin', () => {
    const one = wish();
    const first = readOrCreateCertificate(one);

    const later = readOrCreateCertificate({ ...one, now: unixMs(now + 9 * year) });
    const renewed = readOrCreateCertificate({ ...one, now: unixMs(now + 10 * year - 24 * 3_600_000) });
    const named = readOrCreateCertificate({ ...one, names: ['new.example.com'] });

    expect(later.certificate).toBe(first.certificate);
    expect(renewed.certificate).not.toBe(first.certificate);
    expect(named.certificate).not.toBe(renewed.certificate);
    expect([renewed.pinText, named.pinText]).toEqual([first.pinText, first.pinText]);
  });

  test('has a key that nobody else may read', () => {
    const one = wish();
    readOrCreateCertificate(one);
    chmodSync(one.keyFile, 0o644);

    expect(() => readOrCreateCertificate(one)).toThrow(expect.objectContaining({ code: 'bad-certificate' }));
  });

  test('can be given as files, which must belong together', () => {
    const one = wish();
    const made = readOrCreateCertificate(one);
    const other = wish();
    readOrCreateCertificate(other);

    expect(loadCertificate(one)).toEqual(made);
    for (const files of [
      { ...one, keyFile: other.keyFile },
      { ...one, certificateFile: one.keyFile },
      { ...one, keyFile: one.certificateFile },
      { ...one, keyFile: join(folder, 'missing') },
    ]) {
      expect(() => loadCertificate(files)).toThrow(expect.objectContaining({ code: 'bad-certificate' }));
    }
    writeFileSync(one.certificateFile, readFileSync(one.certificateFile, 'utf8').replace(/[A-Z]{2}/, 'zz'));
    expect(() => loadCertificate(one)).toThrow(expect.objectContaining({ code: 'bad-certificate' }));
  });
});

describe('DER', () => {
  test.each<[string, Buffer, string]>([
    ['a number', integer(Uint8Array.of(0, 0, 5)), '020105'],
    ['a number whose first bit is set', integer(Uint8Array.of(0x80)), '02020080'],
    ['zero', integer(Uint8Array.of(0)), '020100'],
    ['an object id', objectId('1.2.840.10045.4.3.2'), '06082a8648ce3d040302'],
    [
      'a year before 2050',
      time(Date.UTC(2049, 11, 31)),
      `170d${Buffer.from('491231000000Z').toString('hex')}`,
    ],
    ['a year after it', time(Date.UTC(2050, 0, 1)), `180f${Buffer.from('20500101000000Z').toString('hex')}`],
  ])('writes %s', (_what, bytes, hex) => {
    expect(bytes.toString('hex')).toBe(hex);
  });
});
