/** The HTTPS ports with the certificate that serves now: the edge's own, or one that an authority signs meanwhile. */

import type { RequestListener } from 'node:http';
import { AcmeRenewal, type AcmeStatus } from '../acme/renewal.ts';
import type { UdpStreams } from '../transport/udp-streams.ts';
import type { EdgeCertificate } from './certificate.ts';
import { type HttpsListener, listenHttps } from './https-listener.ts';
import type { RegistrationStart } from './start-registration.ts';

export interface CertifiedListener {
  /** Those that are served. */
  readonly ports: readonly number[];
  /** The one that is served now. */
  certificate(): EdgeCertificate;
  /** Undefined where no authority is asked. */
  acme(): AcmeStatus | undefined;
  close(): Promise<void>;
}

export interface CertifiedParts {
  readonly start: RegistrationStart;
  readonly own: EdgeCertificate;
  readonly handler: RequestListener;
  readonly udpStreams: UdpStreams;
  /** Returns what ends it. */
  readonly every: (periodMs: number, run: () => void) => () => void;
}

/** Throws as listenHttps does. */
export async function listenCertified(parts: CertifiedParts): Promise<CertifiedListener> {
  const { start, own, handler, udpStreams } = parts;
  let certificate = own;
  const open: { https?: HttpsListener } = {};
  const renewal = renewalOf(parts, {
    ports: () => open.https?.ports ?? [],
    use: (made) => {
      certificate = made;
      open.https?.useCertificate(made);
    },
  });
  certificate = renewal?.certificate ?? own;
  const listener = await listenHttps({
    handler,
    udpStreams,
    certificate,
    ports: start.httpsPorts,
    log: start.log,
    ...(renewal === undefined ? {} : { proofFor: (name) => renewal.proofs.contextFor(name) }),
    ...(start.httpsHost === undefined ? {} : { host: start.httpsHost }),
  });
  open.https = listener;
  renewal?.start();
  return {
    ports: listener.ports,
    certificate: () => certificate,
    acme: () => renewal?.status,
    close: () => {
      renewal?.close();
      return listener.close();
    },
  };
}

function renewalOf(
  { start, own, every }: CertifiedParts,
  served: { readonly ports: () => readonly number[]; readonly use: (made: EdgeCertificate) => void },
): AcmeRenewal | undefined {
  const { acme, dataFolder, clock, entropy, log, version } = start;
  if (acme === undefined) return undefined;
  return new AcmeRenewal({
    config: acme,
    dataFolder,
    own,
    httpsPorts: served.ports,
    use: served.use,
    unixNow: () => clock.unix(),
    entropy,
    log,
    version,
    every,
  });
}
