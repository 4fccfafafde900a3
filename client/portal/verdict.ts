/**
 * Answers to the questions of one round → what kind of network this is. Pure; its table test is the specification.
 * The edge's own answer outweighs all others: only it cannot be faked. One filtered page is no sign-in.
 */

import type { SignInPlace } from './places.ts';
import type { ProbeAnswer } from './reply.ts';

export type PortalVerdict =
  /** `sure`: the edge itself was reached; else a page that anybody could have written. */
  | { readonly kind: 'online'; readonly sure: boolean }
  /** The network wants a sign-in first. */
  | { readonly kind: 'portal'; readonly places: readonly SignInPlace[] }
  /** Nothing comes back from anywhere. */
  | { readonly kind: 'no-internet' }
  /** Something answers, and nobody can say what it means. `issuer`: who signs what TLS shows. */
  | { readonly kind: 'unknown'; readonly intercepted: boolean; readonly issuer?: string };

/** `answers`: one for each question of the round, those that are still open left out or 'silent'. */
export function judgePortal(answers: readonly ProbeAnswer[]): PortalVerdict {
  if (answers.some(({ kind }) => kind === 'edge')) return { kind: 'online', sure: true };
  const signIns = answers.flatMap((one) => (one.kind === 'sign-in' ? [one] : []));
  const honest = answers.filter(({ kind }) => kind === 'honest').length;
  // A school that blocks one page of several is no sign-in; a fake 204 among redirects is no honesty.
  if (signIns.length > honest) return { kind: 'portal', places: signIns.flatMap(({ places }) => places) };
  if (honest > 0) return { kind: 'online', sure: false };
  const impostor = answers.find((one) => one.kind === 'impostor');
  if (impostor !== undefined) {
    const { issuer } = impostor;
    return { kind: 'unknown', intercepted: true, ...(issuer === undefined ? {} : { issuer }) };
  }
  if (answers.some(({ kind }) => kind === 'refused' || kind === 'garbage')) {
    return { kind: 'unknown', intercepted: false };
  }
  return { kind: 'no-internet' };
}
