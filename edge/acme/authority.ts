/**
 * A certificate authority that speaks ACME (RFC 8555): account, order, proofs of control, certificate. One order
 * at a time; every wait is bounded. How a name is proven is given: proofs.ts.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { AccountKey } from './account-key.ts';
import { type AuthorityReply, askAuthority } from './authority-request.ts';

export type ProofKind = 'tls-alpn-01' | 'http-01';

export interface Proof {
  readonly kind: ProofKind;
  /** Host name. */
  readonly name: string;
  readonly token: string;
  /** What the authority must find. */
  readonly authorization: string;
}

/** Makes a proof visible to the authority; what it returns takes it away. Throws CulvertError. */
export type ShowProof = (proof: Proof) => Promise<() => Promise<void>>;

export interface AuthorityParts {
  /** Address of its directory. */
  readonly directory: string;
  readonly key: AccountKey;
  readonly email: string | undefined;
  /** PEM, in place of the usual roots. */
  readonly roots: string | undefined;
  /** Name and version of this program. */
  readonly agent: string;
  readonly wait: (ms: number) => Promise<void>;
}

export interface CertificateOrder {
  readonly names: readonly string[];
  /** DER. */
  readonly signingRequest: Buffer;
  /** Those that can be shown here, the best first. */
  readonly kinds: readonly ProofKind[];
  readonly show: ShowProof;
}

interface Endpoints {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
}

type Answer = Readonly<Record<string, unknown>>;

const maxTries = 6;
const maxPolls = 40;
const usualPollMs = 2000;
const longestPollMs = 10_000;
const maxWords = 300;

export class Authority {
  readonly #parts: AuthorityParts;
  #endpoints: Endpoints | undefined;
  #account: string | undefined;
  #nonce: string | undefined;

  constructor(parts: AuthorityParts) {
    this.#parts = parts;
  }

  /** PEM, the chain behind it. Throws 'acme-failed' with the authority's own words. */
  async certificate(order: CertificateOrder): Promise<string> {
    const { newOrder } = await this.#open();
    const identifiers = order.names.map((value) => ({ type: 'dns', value }));
    const made = await this.#post(newOrder, { identifiers });
    const place = addressIn(made.reply.headers.location, 'an order');
    for (const one of listIn(made.answer, 'authorizations')) await this.#prove(one, order);
    await this.#until(place, ['ready', 'valid']);
    const csr = order.signingRequest.toString('base64url');
    await this.#post(textIn(made.answer, 'finalize'), { csr });
    const done = await this.#until(place, ['valid']);
    const { reply } = await this.#post(textIn(done, 'certificate'), undefined);
    if (!reply.text.includes('-----BEGIN CERTIFICATE-----')) throw nonsense('no certificate');
    return reply.text;
  }

  async #open(): Promise<Endpoints> {
    if (this.#endpoints === undefined) {
      const reply = await this.#ask('GET', this.#parts.directory);
      const answer = parse(reply.text);
      if (reply.status !== 200) throw refusal(reply, answer);
      this.#endpoints = {
        newNonce: textIn(answer, 'newNonce'),
        newAccount: textIn(answer, 'newAccount'),
        newOrder: textIn(answer, 'newOrder'),
      };
    }
    if (this.#account === undefined) {
      const { email } = this.#parts;
      const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
      const { reply } = await this.#post(this.#endpoints.newAccount, {
        termsOfServiceAgreed: true,
        ...contact,
      });
      this.#account = addressIn(reply.headers.location, 'an account');
    }
    return this.#endpoints;
  }

  async #prove(place: string, { kinds, show }: CertificateOrder): Promise<void> {
    const { answer } = await this.#post(place, undefined);
    if (answer['status'] === 'valid') return;
    const name = (answer['identifier'] as Answer | undefined)?.['value'];
    const offered = (Array.isArray(answer['challenges']) ? answer['challenges'] : []) as readonly Answer[];
    const kind = kinds.find((one) => offered.some(({ type }) => type === one));
    const challenge = offered.find(({ type }) => type === kind);
    if (kind === undefined || challenge === undefined || typeof name !== 'string') {
      throw new CulvertError('acme-failed', {
        text: `The certificate authority offers no proof that can be shown here (${kinds.join(', ')}).`,
        remedy: 'Serve port 443 or 80 of this machine to the Internet; names with * cannot be had this way.',
      });
    }
    const token = textIn(challenge, 'token');
    const authorization = this.#parts.key.authorizationFor(token);
    const hide = await show({ kind, name, token, authorization });
    try {
      await this.#post(textIn(challenge, 'url'), {});
      await this.#until(place, ['valid']);
    } finally {
      await hide();
    }
  }

  /** Asks until the thing has one of those states. */
  async #until(place: string, states: readonly string[]): Promise<Answer> {
    for (let left = maxPolls; left > 0; left--) {
      const { reply, answer } = await this.#post(place, undefined);
      const state = String(answer['status']);
      if (states.includes(state)) return answer;
      if (state !== 'pending' && state !== 'processing') throw refusal(reply, failureIn(answer));
      const asked = Number(reply.headers['retry-after'] ?? Number.NaN) * 1000;
      await this.#parts.wait(Number.isFinite(asked) ? clamp(asked) : usualPollMs);
    }
    throw new CulvertError('acme-failed', { text: 'The certificate authority did not decide in time.' });
  }

  async #post(
    url: string,
    payload: unknown,
  ): Promise<{ readonly reply: AuthorityReply; readonly answer: Answer }> {
    for (let left = maxTries; ; left--) {
      const nonce = this.#nonce ?? (await this.#freshNonce());
      this.#nonce = undefined;
      const body = this.#parts.key.sign({ url, nonce, account: this.#account }, payload);
      const reply = await this.#ask('POST', url, body);
      this.#nonce = onlyText(reply.headers['replay-nonce']);
      const answer = parse(reply.text);
      if (reply.status < 400) return { reply, answer };
      if (left <= 1 || answer['type'] !== 'urn:ietf:params:acme:error:badNonce') throw refusal(reply, answer);
    }
  }

  async #freshNonce(): Promise<string> {
    const reply = await this.#ask('HEAD', this.#endpoints?.newNonce ?? '');
    const nonce = onlyText(reply.headers['replay-nonce']);
    if (nonce === undefined) throw nonsense('no nonce');
    return nonce;
  }

  #ask(method: 'GET' | 'HEAD' | 'POST', url: string, body?: string): Promise<AuthorityReply> {
    const { roots, agent } = this.#parts;
    return askAuthority({ url, method, roots, agent, ...(body === undefined ? {} : { body }) });
  }
}

function clamp(ms: number): number {
  return Math.min(longestPollMs, Math.max(0, ms));
}

/** Where a challenge failed, it says more than its order does. */
function failureIn(answer: Answer): Answer {
  const challenges = (Array.isArray(answer['challenges']) ? answer['challenges'] : []) as readonly Answer[];
  const failed = challenges.find((one) => one['error'] !== undefined) ?? answer;
  return (failed['error'] ?? answer) as Answer;
}

function refusal(reply: AuthorityReply, problem: Answer): CulvertError {
  const [detail, status] = [problem['detail'], problem['status']];
  const said =
    typeof detail === 'string' ? detail : typeof status === 'string' ? status : `status ${reply.status}`;
  return new CulvertError('acme-failed', {
    text: `The certificate authority refused: ${clean(said)}`,
  });
}

function nonsense(what: string): CulvertError {
  return new CulvertError('acme-failed', {
    text: `The certificate authority answered ${what}.`,
    remedy: 'Check certificate.acme.directory in edge.yaml.',
  });
}

/** Words from outside go to a log and a terminal. */
function clean(text: string): string {
  return text.replaceAll(/\p{C}/gu, ' ').slice(0, maxWords);
}

function parse(text: string): Answer {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Answer) : {};
  } catch {
    return {}; // A certificate, or nothing: whoever needs fields asks for them by name.
  }
}

function textIn(answer: Answer, name: string): string {
  const value = answer[name];
  if (typeof value !== 'string' || value === '') throw nonsense(`nothing about ${name}`);
  return value;
}

function listIn(answer: Answer, name: string): readonly string[] {
  const value = answer[name];
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
    throw nonsense(`nothing about ${name}`);
  }
  return value;
}

function addressIn(header: string | undefined, what: string): string {
  if (header === undefined) throw nonsense(`no address of ${what}`);
  return header;
}

function onlyText(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined;
}
