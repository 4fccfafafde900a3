/**
 * Who owns DNS on this machine? Decided from facts; ask-host.ts gathers them. Pure. Several programs may think they
 * do: the one is right that the C library asks in the end.
 */

import type { FileState } from './host-files.ts';
import { parseResolvConf, writerOf } from './resolv-conf.ts';

export type DnsOwner = 'resolved' | 'resolvconf' | 'file';
/** 'off': the system's DNS is never touched. */
export type DnsChoice = 'auto' | 'off' | DnsOwner;
export const dnsChoices: readonly DnsChoice[] = ['auto', 'resolved', 'resolvconf', 'file', 'off'];

export interface DnsFacts {
  readonly choice: DnsChoice;
  /** /etc/resolv.conf. */
  readonly file: FileState;
  /** Words of the line `hosts` of nsswitch.conf, empty where there is none. */
  readonly hostsSources: readonly string[];
  /** systemd-resolved answers on the bus. */
  readonly resolvedAnswers: boolean;
  /** The program resolvconf is there. */
  readonly hasResolvconf: boolean;
}

export interface DnsDecision {
  readonly owner: DnsOwner | 'none';
  /** One sentence for people: why. */
  readonly because: string;
  /** The program that may write the file again behind us, where it is known. */
  readonly rival: string | undefined;
}

/** systemd-resolved's two stubs. */
const resolvedStubs: readonly string[] = ['127.0.0.53', '127.0.0.54'];

export function decideOwner(facts: DnsFacts): DnsDecision {
  const text = facts.file.kind === 'absent' ? '' : (facts.file.text ?? '');
  const writer = writerOf(text);
  const rival = writer === 'culvert' ? undefined : writer;
  if (facts.choice === 'off') {
    return { owner: 'none', because: 'The setting dns.system leaves the DNS of this system alone.', rival };
  }
  if (facts.choice !== 'auto') {
    return { owner: facts.choice, because: 'The setting dns.system says so.', rival };
  }
  if (facts.resolvedAnswers && asksResolved(facts, text)) {
    return { owner: 'resolved', because: 'systemd-resolved answers for this system.', rival: undefined };
  }
  if (facts.hasResolvconf && isByResolvconf(facts.file, writer)) {
    return { owner: 'resolvconf', because: 'resolvconf writes /etc/resolv.conf here.', rival: undefined };
  }
  const because =
    rival === undefined
      ? 'Nobody but /etc/resolv.conf itself decides here.'
      : `${rival} wrote /etc/resolv.conf and takes no servers from others.`;
  return { owner: 'file', because, rival };
}

/** The C library gets to resolved by its own module, or because every server in the file is one of its stubs. */
function asksResolved(facts: DnsFacts, text: string): boolean {
  const resolve = facts.hostsSources.indexOf('resolve');
  const dns = facts.hostsSources.indexOf('dns');
  if (resolve >= 0 && (dns < 0 || resolve < dns)) return true;
  const { nameServers } = parseResolvConf(text);
  return nameServers.length > 0 && nameServers.every((server) => resolvedStubs.includes(server));
}

function isByResolvconf(file: FileState, writer: string | undefined): boolean {
  return writer === 'resolvconf' || (file.kind === 'link' && file.target.includes('resolvconf'));
}

/** The sources of names in the text of nsswitch.conf, without what stands in brackets. */
export function hostsSourcesIn(text: string): readonly string[] {
  const line = text.split('\n').find((one) => /^\s*hosts:/.test(one)) ?? '';
  return line
    .replace(/#.*$/, '')
    .replace(/^\s*hosts:/, '')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
}
