/** The reason of a choice in words, for `path why` and for people who wonder. Pure. */

import { formatPrefix } from '../../shared/core/base/ip.ts';
import type { PathReport } from './report.ts';
import type { EgressRule, KnownName, NameSource, RuleHit } from './rules.ts';
import type { Choice } from './select.ts';

/** What one candidate looks like at the moment. */
export interface Candidate {
  readonly id: string;
  readonly costMs: number;
  readonly health: PathReport['health'];
}

export interface Explanation {
  /** Null where nothing goes there. */
  readonly path: string | null;
  /** Whole sentences. */
  readonly sentence: string;
  readonly candidates: readonly Candidate[];
}

export interface Explained {
  readonly choice: Choice;
  /** The best first; only where the choice was free. */
  readonly candidates: readonly Candidate[];
  readonly name: KnownName | undefined;
  /** Whether there are rules for hosts, which need a name. */
  readonly hasHostRules: boolean;
  /** Half a sentence where nothing can go by the chosen path now. */
  readonly trouble?: string | undefined;
  /** Whether one path at a time serves all places: the kernel forwards, and nobody is asked. */
  readonly isSameEverywhere?: boolean | undefined;
}

export function explain(explained: Explained): Explanation {
  const { choice, candidates } = explained;
  const path = choice.kind === 'none' ? null : choice.path;
  const notes = [troubleNote(explained), nameNote(explained), placeNote(explained)];
  const sentence = [reasonText(choice, candidates), ...notes].filter((text) => text !== '').join(' ');
  return { path, sentence, candidates };
}

/** 'rule 2 (host *.bank.example)'; counts from 1, as people do. */
export function ruleText(hit: RuleHit): string {
  return `rule ${hit.index + 1} (${matchText(hit.rule)})`;
}

function reasonText(choice: Choice, candidates: readonly Candidate[]): string {
  const { reason } = choice;
  switch (reason.by) {
    case 'block-rule':
      return `Nothing goes there: ${ruleText(reason.hit)} blocks it.`;
    case 'pin':
      return choice.kind === 'path'
        ? `${reason.device} is pinned to ${choice.path}.`
        : `Nothing goes there: ${reason.device} is pinned to a path that blocks.`;
    case 'rule':
      return choice.kind === 'path'
        ? `By ${choice.path}: ${ruleText(reason.hit)} says so.`
        : `Nothing goes there: ${ruleText(reason.hit)} blocks it.`;
    case 'nothing':
      return nothingTexts[reason.why];
    default:
      return choice.kind === 'path' ? autoText(choice.path, reason.why, candidates) : '';
  }
}

const nothingTexts = {
  'no-path': 'Nothing goes there: no path can carry it.',
  closed: 'Nothing goes there: the place is closed, and no rule names it.',
  'cannot-carry': 'Nothing goes there: the path that was asked for cannot carry it, and no other may.',
} as const;

function autoText(path: string, why: string, candidates: readonly Candidate[]): string {
  const numbers = comparison(path, candidates);
  switch (why) {
    case 'only':
      return `By ${path}: there is no other path for it.`;
    case 'kept':
      return `By ${path}: this site's flows leave there already, and logins stay valid while its address stays the same.${numbers}`;
    case 'better-here':
      return `By ${path}: it was measured to be better for this place.${numbers}`;
    case 'fails-here':
      return `By ${path}: connections to this place failed by the usual path, and came about by this one.${numbers}`;
    case 'avoided':
      return `By ${path}: the usual path did not answer a moment ago.${numbers}`;
    default:
      return `By ${path}: it is the best at the moment.${numbers}`;
  }
}

function comparison(path: string, candidates: readonly Candidate[]): string {
  const chosen = candidates.find((one) => one.id === path);
  const other = candidates.find((one) => one.id !== path);
  if (chosen === undefined || other === undefined) return '';
  const otherText =
    other.health === 'down' ? `${other.id} is down` : `${other.id} in about ${Math.round(other.costMs)} ms`;
  return ` It should connect in about ${Math.round(chosen.costMs)} ms, ${otherText}.`;
}

/** Who asks for a path by name gets that path or nothing. */
function troubleNote({ choice, trouble }: Explained): string {
  const isByName = choice.reason.by === 'pin' || choice.reason.by === 'rule';
  if (choice.kind !== 'path' || trouble === undefined || !isByName) return '';
  return `Nothing gets through now: ${trouble}. New flows are refused until that is over, for no other path may carry them.`;
}

function placeNote({ choice, isSameEverywhere }: Explained): string {
  if (isSameEverywhere !== true || choice.reason.by !== 'auto' || choice.reason.why === 'only') return '';
  return 'It is the same for all places: the kernel does not tell how a place is reached, and without egress.probe nobody is asked.';
}

/** What the words above rest on, where a name was needed and is not certain. */
function nameNote({ choice, name, hasHostRules }: Explained): string {
  const { reason } = choice;
  if (!hasHostRules || reason.by === 'pin') return '';
  if (name === undefined) return 'No name is known for this address, so rules for hosts were passed over.';
  const isByRule = reason.by === 'rule' || reason.by === 'block-rule';
  if (isByRule && reason.hit.certainty === 'guessed-name') return guessNote(name);
  return sourceNotes[name.source]?.(name.name) ?? '';
}

function guessNote(name: KnownName): string {
  if (name.source === 'front') {
    return `This is a guess: the connection hides its name (Encrypted Client Hello), and ${name.name} may be that of a front.`;
  }
  return `This is a guess: the address may also stand for ${name.others.join(', ')}.`;
}

/** From where the name is known; nothing where whoever asks has said it. */
const sourceNotes: Partial<Record<NameSource, (name: string) => string>> = {
  sni: (name) => `The connection itself says its name in its TLS hello: ${name}.`,
  http: (name) => `The connection itself says its name in its HTTP request: ${name}.`,
  'looked-up': (name) => `The name is known from the device's question for ${name}.`,
  guessed: (name) => `The device has asked for several names with this address, ${name} the last.`,
  front: (name) => `The connection hides its name (Encrypted Client Hello); what can be read is ${name}.`,
};

function matchText({ match }: EgressRule): string {
  const parts = [
    match.host === undefined ? '' : `host ${match.host}`,
    match.cidr === undefined ? '' : `cidr ${formatPrefix(match.cidr)}`,
    match.port === undefined ? '' : `port ${match.port}`,
    match.device === undefined ? '' : `device ${match.device}`,
    match.tag === undefined ? '' : `tag ${match.tag}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'for everything' : parts.join(', ');
}
