// Which catalogue a person reads, and the words for what the daemon says in it.
import type { HealthItem } from '../../../shared/core/control/health.ts';
import type { Words } from '../../../shared/core/control/texts.ts';
import type { DaemonView, Outcome } from '../../bridge/ipc.ts';
import type { Catalogue, Pair } from './catalogue.ts';
import { english } from './english.ts';
import { german } from './german.ts';
import { pseudoCatalogue } from './pseudo.ts';

const pseudoTag = 'en-XA';

/** `choice` is what was set in the app, `system` what the computer speaks: 'de-AT'. */
export function catalogueFor(choice: 'system' | 'en' | 'de' | undefined, system: string): Catalogue {
  const tag = choice === undefined || choice === 'system' ? system : choice;
  if (tag === pseudoTag) return pseudoCatalogue(english);
  const words = tag.split('-')[0] === 'de' ? german : english;
  // Numbers and times as the region of this computer writes them: 14:05 in Britain, 2:05 PM in America.
  return system.startsWith(`${words.tag}-`) && isLocale(system) ? { ...words, tag: system } : words;
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false; // 'en_GB.UTF-8' and whatever else a system may call its language.
  }
}

type Answer = Extract<DaemonView, { daemon: 'answers' }>;

/** The words of a state: the daemon's own in English, else those of the same key. */
export function stateWords(catalogue: Catalogue, { status, key, words }: Answer): Words {
  const special = status.mode === 'proxy' ? catalogue.proxyStates?.[key] : undefined;
  const { respell = unchanged } = catalogue;
  return (
    special ??
    catalogue.states?.[key] ?? { heading: respell(words.heading), sentence: respell(words.sentence) }
  );
}

export function healthWords(catalogue: Catalogue, item: HealthItem): Pair {
  return (catalogue.health as Readonly<Record<string, Pair>>)[item.code] ?? [item.text, item.remedy];
}

/** What to say of a call that failed. */
export function failureWords(catalogue: Catalogue, outcome: Extract<Outcome, { ok: false }>): Pair {
  const known = (catalogue.errors as Readonly<Record<string, Pair>>)[outcome.code];
  return known ?? [outcome.text ?? catalogue.failed, outcome.remedy ?? ''];
}

function unchanged(text: string): string {
  return text;
}
