/**
 * The certificate of the HTTPS port: self-signed, made here (RFC 5280, ECDSA P-256), or given as files.
 * Devices know it by its public key (the pin in the invitation), so that a new certificate for the same key
 * changes nothing for them. node:crypto signs but writes no certificates; the libraries that do bring a
 * dozen packages for these few fields.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  X509Certificate,
} from 'node:crypto';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { formatPin } from '../../shared/core/registration/invite.ts';
import {
  bitString,
  element,
  integer,
  objectId,
  octetString,
  sequence,
  set,
  time,
  utf8String,
  yes,
} from './der.ts';
import { parseKey, readOptional, readOrCreateKey, writePrivate } from './key-files.ts';

export interface EdgeCertificate {
  /** PEM. */
  readonly key: string;
  /** PEM, with its chain where there is one. */
  readonly certificate: string;
  /** SHA-256 of the public key (SPKI). */
  readonly pin: Uint8Array;
  /** 'sha256/…' */
  readonly pinText: string;
  readonly expiresAt: UnixMs;
}

export interface CertificateFiles {
  readonly keyFile: string;
  readonly certificateFile: string;
}

export interface CertificateWish extends CertificateFiles {
  /** Host names and addresses by which the edge is reached. */
  readonly names: readonly string[];
  readonly now: UnixMs;
  readonly entropy: Entropy;
}

const dayMs = 24 * 60 * minuteMs;
const lifeMs = 10 * 365 * dayMs;
/** A new one is made this long before the end. */
const renewBeforeMs = 90 * dayMs;
/** Clocks that are behind must not find it too young. */
const backdateMs = 2 * dayMs;
const serialBytes = 16;
const maxNames = 32;

/** What was made before, or a new one in its place where it ends soon or lacks a name. The key stays. */
export function readOrCreateCertificate(wish: CertificateWish): EdgeCertificate {
  const { key, pem: keyPem } = readOrCreateKey(wish.keyFile);
  const found = readOptional(wish.certificateFile);
  if (found !== undefined) {
    const known = describe(keyPem, found, wish);
    if (known.expiresAt - renewBeforeMs > wish.now && hasNames(found, wish.names)) return known;
  }
  const made = selfSigned(key, wish);
  writePrivate(wish.certificateFile, made);
  return describe(keyPem, made, wish);
}

/** Files from elsewhere. Throws 'bad-certificate' where they do not fit each other. */
export function loadCertificate(files: CertificateFiles): EdgeCertificate {
  const key = readOptional(files.keyFile);
  const certificate = readOptional(files.certificateFile);
  if (key === undefined || certificate === undefined) {
    const missing = key === undefined ? files.keyFile : files.certificateFile;
    throw new CulvertError('bad-certificate', { text: `There is no file ${missing}.` });
  }
  return describe(
    parseKey(key, files.keyFile).export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate,
    files,
  );
}

export function pinOf(publicKey: KeyObject): Uint8Array {
  return Uint8Array.from(
    createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest(),
  );
}

/** Throws 'bad-certificate' where key and certificate do not fit each other; `files` are for its words. */
export function describe(key: string, certificate: string, files: CertificateFiles): EdgeCertificate {
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(certificate);
  } catch (cause) {
    throw new CulvertError('bad-certificate', {
      text: `${files.certificateFile} holds no certificate.`,
      cause,
    });
  }
  if (!parsed.checkPrivateKey(createPrivateKey(key))) {
    throw new CulvertError('bad-certificate', {
      text: `The key in ${files.keyFile} does not belong to the certificate in ${files.certificateFile}.`,
    });
  }
  const pin = pinOf(parsed.publicKey);
  return {
    key,
    certificate,
    pin,
    pinText: formatPin(pin),
    expiresAt: parsed.validToDate.getTime() as UnixMs,
  };
}

/** PEM. `extension`: one more than a server needs, in DER. */
export function selfSigned(
  key: KeyObject,
  wish: Pick<CertificateWish, 'names' | 'now' | 'entropy'>,
  extension?: Buffer,
): string {
  const serial = new Uint8Array(serialBytes);
  wish.entropy.fill(serial);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2'));
  const name = sequence(set(sequence(objectId('2.5.4.3'), utf8String('culvert edge'))));
  const body = sequence(
    element(0xa0, integer(Uint8Array.of(2))),
    integer(serial),
    algorithm,
    name,
    sequence(time(wish.now - backdateMs), time(wish.now + lifeMs)),
    name,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensions(wish.names), ...(extension === undefined ? [] : [extension]))),
  );
  const signature = sign('sha256', body, { key, dsaEncoding: 'der' });
  return pem(sequence(body, algorithm, bitString(signature)));
}

function extensions(names: readonly string[]): readonly Buffer[] {
  const critical = yes();
  const found = [
    sequence(objectId('2.5.29.19'), critical, octetString(sequence())),
    // digitalSignature
    sequence(objectId('2.5.29.15'), critical, octetString(element(0x03, Uint8Array.of(7, 0x80)))),
    sequence(objectId('2.5.29.37'), octetString(sequence(objectId('1.3.6.1.5.5.7.3.1')))),
  ];
  if (names.length > 0) found.push(alternativeNames(names));
  return found;
}

/** The extension subjectAltName (RFC 5280 §4.2.1.6), in DER. */
export function alternativeNames(names: readonly string[]): Buffer {
  const alternatives = names.slice(0, maxNames).map((name) => {
    const address = parseAddress(name);
    return address === undefined ? element(0x82, Buffer.from(name, 'latin1')) : element(0x87, address);
  });
  return sequence(objectId('2.5.29.17'), octetString(sequence(...alternatives)));
}

/** True where a PEM certificate is for all of these names and addresses. */
export function hasNames(certificate: string, names: readonly string[]): boolean {
  const parsed = new X509Certificate(certificate);
  return names
    .slice(0, maxNames)
    .every((name) =>
      parseAddress(name) === undefined
        ? parsed.checkHost(name) !== undefined
        : parsed.checkIP(name) !== undefined,
    );
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').replaceAll(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
}
