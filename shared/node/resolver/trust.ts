/** Which certificates are trusted: Node's own, NODE_EXTRA_CA_CERTS, and a file of the user's. */

import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { CulvertError } from '../../core/control/codes.ts';

/** PEM texts. Throws CulvertError where the file can't be read or holds no certificate. */
export function trustedCertificates(caFile?: string): readonly string[] {
  // Node reads NODE_EXTRA_CA_CERTS into its default set once, at start.
  const usual = getCACertificates('default');
  if (caFile === undefined) return usual;
  let text: string;
  try {
    text = readFileSync(caFile, 'utf8');
  } catch (cause) {
    throw new CulvertError('file-unreadable', {
      text: `The file of certificates ${caFile} cannot be read.`,
      cause,
    });
  }
  const extra = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (extra.length === 0) {
    throw new CulvertError('file-unreadable', {
      text: `There is no certificate in ${caFile}.`,
      remedy: 'Give a file with certificates in PEM form.',
    });
  }
  return [...usual, ...extra];
}
