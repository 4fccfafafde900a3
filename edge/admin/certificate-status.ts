/** What `culvert-edge status` tells about the certificate of the HTTPS port. Pure. */

import type { AcmeStatus } from '../acme/renewal.ts';
import type { EdgeConfig } from '../config.ts';
import type { RunningRegistration } from '../registration/start-registration.ts';

export interface CertificateStatus {
  /** Who signed it: the edge itself, whoever made the files, or an authority that the edge asks. */
  readonly kind: 'self-signed' | 'files' | 'acme';
  /** RFC 3339; null before the API is there. */
  readonly expiresAt: string | null;
  readonly acme?: AcmeStatus;
}

export function certificateStatus(
  config: Pick<EdgeConfig, 'certificate'>,
  registration: Pick<RunningRegistration, 'certificate' | 'acme'> | undefined,
): CertificateStatus {
  const acme = registration?.acme();
  const expiresAt = registration?.certificate().expiresAt;
  return {
    kind: config.certificate === undefined ? (acme === undefined ? 'self-signed' : 'acme') : 'files',
    expiresAt: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
    ...(acme === undefined ? {} : { acme }),
  };
}
