/** A network written down with what was seen in it, and whether another time went the same way. Pure. */

import type { LabNetwork, Seen } from './networks.ts';
import type { Story } from './story.ts';

/** For `--record`: what `--trace` plays again. */
export function traceText({ name, sentence, steps }: LabNetwork, story: Story): string {
  return `${JSON.stringify({ name, sentence, steps, saw: seenIn(story) }, null, 2)}\n`;
}

/** What is different this time, in words; empty: it went the same way. Times are no difference. */
export function differences(saw: Seen, story: Story): readonly string[] {
  const now = seenIn(story);
  const found: string[] = [];
  if (saw.mode !== now.mode) found.push(`The mode was ${saw.mode}, and is ${now.mode}.`);
  if (saw.loads !== now.loads) {
    found.push(saw.loads ? 'Pages loaded, and do not.' : 'No page loaded, and now they do.');
  }
  if (!isSame(saw.states, now.states)) {
    found.push(`The states were ${saw.states.join(' → ')}, and are ${now.states.join(' → ')}.`);
  }
  if (!isSame(saw.health, now.health)) {
    found.push(
      `The codes were ${saw.health.join(' ') || 'none'}, and are ${now.health.join(' ') || 'none'}.`,
    );
  }
  return found;
}

export function comparisonText(different: readonly string[]): string {
  return different.length === 0
    ? 'It went as it did when this was written down.'
    : ['It went another way than when this was written down:', ...different].join('\n  ');
}

function seenIn({ mode, states, health, firstPageMs }: Story): Seen {
  return { mode, states, health: health.toSorted(), loads: firstPageMs !== undefined };
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}
