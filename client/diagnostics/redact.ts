/**
 * What never leaves this machine in a report: keys, passwords, invitations, public addresses, names. Each is replaced
 * by a label, the same one for the same thing, so that a reader can still follow it. Pure. What it does not know to be
 * harmless it hides.
 */

import { isIP } from 'node:net';
import { formatAddress, type Prefix, parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import { covers } from '../split/prefix-set.ts';

/** Different things of one kind that get a number of their own. */
const maxLabels = 1000;
const longestName = 255;

/** Ranges that say nothing about anybody: private, local, documentation; and 1.1.1.1's own addresses. */
const harmless: readonly Prefix[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '224.0.0.0/3',
  '1.1.1.0/30',
  '1.0.0.0/30',
  '192.0.2.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '::/16',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
  '2606:4700:4700::/48',
  '2001:db8::/32',
]
  .map(parsePrefix)
  .filter((prefix) => prefix !== undefined);

/** Names that everybody may read, and ends of words with a dot that are no names. */
const harmlessName =
  /(^|\.)(culvert|localhost|invalid|cloudflare-dns\.com)\.?$|\.(ts|js|json|jsonl|conf|log|rules|sock|service|yaml|md|so)$/i;

const links = /\bculvert:\/\/\S+/gi;
const credentials = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"']{1,512}@/gi;
const base64Keys = /(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]{0,2}(?![A-Za-z0-9+/])/g;
const longTokens = /(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{32,}(?![A-Za-z0-9_-])/g;
const hardware = /\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/gi;
const addresses4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)/g;
/** Whatever may be one; what comes behind it as punctuation is not part of it. */
const addresses6 = /[0-9a-f:.]{3,64}/gi;
/** Words with letters, digits, dots and dashes; a name has a dot, and a letter where its last label begins. */
const dotted = /[A-Za-z0-9_][A-Za-z0-9_.-]*/g;
const isName = /^(?:[A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]+\.?$/;
const folders = /(\/(?:home|Users)\/)[^/\s"']+/g;

export class Redactor {
  readonly #labels = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  readonly #literals: readonly (readonly [RegExp, string])[];
  readonly #keep: ReadonlySet<string>;

  /** `literals`: words to hide wherever they stand, by kind: names of this machine, its user, its edges. `keep`: dotted words of ours. */
  constructor(
    literals: readonly { readonly kind: string; readonly text: string }[] = [],
    keep: ReadonlySet<string> = new Set(),
  ) {
    this.#keep = keep;
    this.#literals = literals
      .filter(({ text }) => text.length >= 2)
      .toSorted((a, b) => b.text.length - a.text.length)
      .map(({ kind, text }) => [wholeWord(text), this.#label(kind, text)]);
  }

  redact(text: string): string {
    let clean = text.replace(links, '[invitation]').replace(credentials, '$1[credentials]@');
    for (const [word, label] of this.#literals) clean = clean.replace(word, label);
    clean = clean.replace(hardware, (one) => this.#label('hardware', one.toLowerCase()));
    clean = clean.replace(base64Keys, '[key]').replace(longTokens, '[token]');
    clean = clean.replace(addresses6, (one) => (one.includes(':') ? this.#address(one) : one));
    clean = clean.replace(addresses4, (one) => this.#address(one));
    clean = clean.replace(folders, '$1[user]');
    return clean.replace(dotted, (one) => this.#name(one));
  }

  #name(text: string): string {
    if (text.length > longestName) return text.includes('.') ? '[name]' : text;
    if (!isName.test(text) || harmlessName.test(text) || this.#keep.has(text)) return text;
    return this.#label('name', text.toLowerCase());
  }

  #address(text: string): string {
    const end = /[:.]+$/.exec(text)?.[0] ?? '';
    const whole = isIP(text) === 0 ? text.slice(0, text.length - end.length) : text;
    const bytes = isIP(whole) === 0 ? undefined : parseAddress(whole);
    if (bytes === undefined || covers(harmless, bytes)) return text;
    const label = this.#label(bytes.length === 4 ? 'public4' : 'public6', formatAddress(bytes));
    return `${label}${text.slice(whole.length)}`;
  }

  #label(kind: string, text: string): string {
    const key = `${kind} ${text}`;
    const known = this.#labels.get(key);
    if (known !== undefined) return known;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    if (count > maxLabels) return `[${kind}]`;
    this.#counts.set(kind, count);
    const label = `[${kind}-${count}]`;
    this.#labels.set(key, label);
    return label;
  }
}

function wholeWord(text: string): RegExp {
  const quoted = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![A-Za-z0-9])${quoted}(?![A-Za-z0-9])`, 'gi');
}
