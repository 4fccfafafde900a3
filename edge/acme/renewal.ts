/**
 * Keeps a certificate of an authority in use: has one made where there is none, a new one when two thirds of its life
 * are over, and tries again later where that fails. The key is the edge's own and stays, so that what invitations
 * pin stays true. What fails is told, and never ends an edge.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import type { AcmeConfig } from '../config-acme.ts';
import { describe, type EdgeCertificate, hasNames } from '../registration/certificate.ts';
import { readOptional, writePrivate } from '../registration/key-files.ts';
import { AccountKey } from './account-key.ts';
import { Authority, type ProofKind } from './authority.ts';
import { Proofs } from './proofs.ts';
import { signingRequest } from './signing-request.ts';

/** 'waiting': there is none yet; 'failing': the last try failed, whatever is served meanwhile. */
export type AcmeState = 'waiting' | 'valid' | 'failing';

export interface AcmeStatus {
  readonly state: AcmeState;
  readonly domains: readonly string[];
  /** Tries that failed since the start of the edge. */
  readonly failures: number;
  /** What the last try met: a sentence and what to do. */
  readonly problem?: { readonly text: string; readonly remedy: string };
  /** RFC 3339. */
  readonly nextTry: string;
}

export interface AcmeParts {
  readonly config: AcmeConfig;
  readonly dataFolder: string;
  /** The edge's own key and the certificate that serves while there is no other. */
  readonly own: EdgeCertificate;
  /** Ports of HTTPS that are served now. */
  readonly httpsPorts: () => readonly number[];
  readonly use: (certificate: EdgeCertificate) => void;
  readonly unixNow: () => UnixMs;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly version: string;
  /** Default: setInterval. Returns what ends it. */
  readonly every: (periodMs: number, run: () => void) => () => void;
  readonly wait?: (ms: number) => Promise<void>;
}

const accountName = 'acme-account.key';
const certificateName = 'acme.crt';
const triesName = 'acme-tries.json';
const lookEveryMs = minuteMs;
const firstRetryMs = 5 * minuteMs;
/** Authorities count failures by the week. */
const longestRetryMs = 12 * 60 * minuteMs;
const maxDoublings = 12;
/** Whoever restarts an edge may have mended what was wrong. */
const longestRestartWaitMs = 15 * minuteMs;
const tlsPort = 443;

/** Where the certificate of the authority lies. */
export function acmeCertificatePath(dataFolder: string): string {
  return join(dataFolder, certificateName);
}

export class AcmeRenewal {
  readonly proofs: Proofs;
  readonly #parts: AcmeParts;
  #current: EdgeCertificate | undefined;
  #renewAt: UnixMs;
  #running: Promise<void> | undefined;
  #inRow = 0;
  #failures = 0;
  #problem: AcmeStatus['problem'];
  #end: (() => void) | undefined;

  constructor(parts: AcmeParts) {
    this.#parts = parts;
    const { own, config, unixNow, entropy, dataFolder } = parts;
    this.proofs = new Proofs({
      key: createPrivateKey(own.key),
      httpPort: config.httpPort,
      unixNow,
      entropy,
    });
    this.#current = readUsable(parts);
    this.#renewAt = this.#current === undefined ? unixNow() : renewalTime(this.#current);
    const earlier = readTries(join(dataFolder, triesName));
    this.#inRow = earlier.inRow;
    this.#renewAt = unixMs(
      Math.max(this.#renewAt, Math.min(earlier.notBefore, unixNow() + longestRestartWaitMs)),
    );
  }

  /** The one to serve now. */
  get certificate(): EdgeCertificate {
    return this.#current ?? this.#parts.own;
  }

  get status(): AcmeStatus {
    const state = this.#problem !== undefined ? 'failing' : this.#current === undefined ? 'waiting' : 'valid';
    return {
      state,
      domains: this.#parts.config.domains,
      failures: this.#failures,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      nextTry: new Date(this.#renewAt).toISOString(),
    };
  }

  /** Looks now and then every minute whether it is time. */
  start(): void {
    this.#end = this.#parts.every(lookEveryMs, () => void this.look());
    void this.look();
  }

  /** Idempotent; a try that is under way ends by itself and is not waited for. */
  close(): void {
    this.#end?.();
    this.#end = undefined;
  }

  /** Never rejects. */
  look(): Promise<void> {
    if (this.#parts.unixNow() < this.#renewAt) return Promise.resolve();
    this.#running ??= this.#renew().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #renew(): Promise<void> {
    const { config, own, log, use, dataFolder } = this.#parts;
    try {
      const key = createPrivateKey(own.key);
      const pem = await this.#authority().certificate({
        names: config.domains,
        signingRequest: signingRequest(key, config.domains),
        kinds: this.#kinds(),
        show: (proof) => this.proofs.show(proof),
      });
      const path = acmeCertificatePath(dataFolder);
      const made = describe(own.key, pem, { certificateFile: path, keyFile: 'api.key' });
      writePrivate(path, pem);
      this.#current = made;
      this.#renewAt = renewalTime(made);
      this.#problem = undefined;
      this.#inRow = 0;
      this.#remember(0);
      use(made);
      log.info('a new certificate is in use', { until: new Date(made.expiresAt).toISOString() });
    } catch (cause) {
      this.#failed(cause);
    }
  }

  #authority(): Authority {
    const { config, dataFolder, version, wait } = this.#parts;
    return new Authority({
      directory: config.directory,
      key: AccountKey.open(join(dataFolder, accountName)),
      email: config.email,
      roots: config.rootsFile === undefined ? undefined : readOptional(config.rootsFile),
      agent: `culvert-edge/${version}`,
      wait: wait ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
    });
  }

  /** The port of pages need not be served by anybody else, the one of TLS must be ours. */
  #kinds(): readonly ProofKind[] {
    const { config, httpsPorts } = this.#parts;
    if (config.proof !== 'auto') return [config.proof];
    return httpsPorts().includes(tlsPort) ? ['tls-alpn-01', 'http-01'] : ['http-01'];
  }

  #failed(cause: unknown): void {
    const { log, unixNow } = this.#parts;
    const retryMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(this.#inRow, maxDoublings));
    this.#inRow += 1;
    this.#failures += 1;
    this.#renewAt = unixMs(unixNow() + retryMs);
    this.#problem = {
      text: cause instanceof Error ? cause.message : String(cause),
      remedy:
        'Check that certificate.acme.domains lead to this machine and that port 443 or 80 of it can be reached.',
    };
    if (hasRemedy(cause)) this.#problem = { ...this.#problem, remedy: cause.remedy };
    log.warn('no new certificate could be had', { why: this.#problem.text, again: this.status.nextTry });
    this.#remember(this.#renewAt);
  }

  /** An edge that is restarted again and again must not ask each time. */
  #remember(notBefore: number): void {
    try {
      const text = JSON.stringify({ inRow: this.#inRow, notBefore });
      writePrivate(join(this.#parts.dataFolder, triesName), `${text}\n`);
    } catch {
      // It is asked sooner than it should be, after a restart: no harm.
    }
  }
}

/** Undefined where there is none, or it ended, or is for other names or another key. */
function readUsable({ dataFolder, own, config, unixNow }: AcmeParts): EdgeCertificate | undefined {
  try {
    const path = acmeCertificatePath(dataFolder);
    const pem = readOptional(path);
    if (pem === undefined) return undefined;
    const found = describe(own.key, pem, { certificateFile: path, keyFile: 'api.key' });
    return found.expiresAt > unixNow() && hasNames(pem, config.domains) ? found : undefined;
  } catch {
    return undefined; // Another one is made in its place.
  }
}

/** When two thirds of its life are over. */
function renewalTime({ certificate, expiresAt }: EdgeCertificate): UnixMs {
  const from = new X509Certificate(certificate).validFromDate.getTime();
  return unixMs(from + ((expiresAt - from) * 2) / 3);
}

function readTries(path: string): { readonly inRow: number; readonly notBefore: number } {
  try {
    const { inRow, notBefore } = JSON.parse(readOptional(path) ?? '{}') as Record<string, unknown>;
    if (Number.isSafeInteger(inRow) && Number.isFinite(notBefore)) {
      return { inRow: Math.max(0, Number(inRow)), notBefore: Number(notBefore) };
    }
  } catch {
    // As if there had been none.
  }
  return { inRow: 0, notBefore: 0 };
}

function hasRemedy(cause: unknown): cause is { readonly remedy: string } {
  return cause instanceof Error && 'remedy' in cause && cause.name === 'CulvertError';
}
