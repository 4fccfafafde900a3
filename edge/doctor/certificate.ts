/** What `doctor` says about the certificate of the HTTPS port, and about the authority that is asked for it. */

import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EdgeStatus } from '../admin/status.ts';
import type { EdgeConfig } from '../config.ts';
import type { Finding } from './examine.ts';

const dayMs = 86_400_000;
const leastDays = 14;
const subject = 'certificate';

export interface CertificatePatient {
  readonly config: Pick<EdgeConfig, 'certificate' | 'acme'>;
  readonly dataFolder: string;
  readonly status: Pick<EdgeStatus, 'certificate'> | undefined;
}

export function examineCertificate(patient: CertificatePatient): Finding {
  const { config, dataFolder, status } = patient;
  if (config.acme !== undefined) return authority(status);
  const path = config.certificate?.certificateFile ?? join(dataFolder, 'api.crt');
  if (!existsSync(path)) {
    const remedy = 'Start the edge, then ask again.';
    return { subject, verdict: 'warning', text: 'It is made when the edge starts.', remedy };
  }
  try {
    const { validToDate } = new X509Certificate(readFileSync(path));
    return lifetime(validToDate.getTime(), config.certificate === undefined ? undefined : path);
  } catch {
    return {
      subject,
      verdict: 'bad',
      text: `${path} is no certificate, or cannot be read.`,
      remedy: 'Correct it, or remove it to have a new one.',
    };
  }
}

/** `path`: of a certificate that is not made here. */
function lifetime(endsAt: number, path: string | undefined): Finding {
  const days = daysUntil(endsAt);
  if (days >= leastDays) return { subject, verdict: 'good', text: `It is valid for ${days} days more.` };
  return {
    subject,
    verdict: days < 0 && path !== undefined ? 'bad' : 'warning',
    text: days < 0 ? 'It is no longer valid.' : `It is valid for ${days} days more only.`,
    remedy:
      path === undefined
        ? 'Restart the edge: it renews it, and its key stays.'
        : `Renew ${path}, then restart the edge.`,
  };
}

function authority(status: CertificatePatient['status']): Finding {
  const acme = status?.certificate.acme;
  if (status === undefined || acme === undefined) {
    const text = 'What the authority said is not known while the edge does not run.';
    return { subject, verdict: 'warning', text, remedy: 'Start the edge, then ask again.' };
  }
  const days = daysUntil(Date.parse(status.certificate.expiresAt ?? ''));
  if (acme.problem !== undefined) {
    const { text, remedy } = acme.problem;
    return { subject, verdict: 'warning', text: `${text} It is tried again at ${acme.nextTry}.`, remedy };
  }
  if (acme.state === 'valid') {
    const text = `The authority signed it; it is valid for ${days} days more and is renewed by itself.`;
    return { subject, verdict: 'good', text };
  }
  const text = 'The authority has not signed it yet; devices are served with the edge’s own meanwhile.';
  return { subject, verdict: 'warning', text, remedy: 'Wait a minute, then ask again.' };
}

function daysUntil(at: number): number {
  return Math.floor((at - Date.now()) / dayMs);
}
