/** What `culvert lab` prints. Pure: a story in, text out. */

import type { LabNetwork } from './networks.ts';
import type { Story, StoryLine } from './story.ts';

const nameWidth = 14;
const timeWidth = 8;

export function listText(networks: readonly LabNetwork[]): string {
  return [
    'Bad networks to try culvert in, built of namespaces of this machine; nothing outside them is touched.',
    '',
    ...networks.map(({ name, sentence }) => `  ${name.padEnd(nameWidth)}${sentence}`),
    '',
    'As root: culvert lab NAME [--mode MODE] [--stay] [-- COMMAND…]',
  ].join('\n');
}

export function lineText({ ms, kind, text }: StoryLine): string {
  const mark = { step: '!', state: '●', health: '·', page: '→' }[kind];
  return `${seconds(ms).padStart(timeWidth)}  ${mark} ${text}`;
}

export function endText(story: Story): string {
  const { firstPageMs, backMs, longestGapMs, downloadMs, outside } = story;
  const first =
    firstPageMs === undefined
      ? 'No page loaded; nothing left this laptop outside the tunnel.'
      : `First page after ${seconds(firstPageMs)}.`;
  const back = backMs === undefined ? '' : ` A page again ${seconds(backMs)} after the last step.`;
  const gap = longestGapMs === undefined ? '' : ` Longest time without pages: ${seconds(longestGapMs)}.`;
  const file = downloadMs === undefined ? '' : ` The file was there after ${seconds(downloadMs)}.`;
  if (outside > 0) return `${outside} pages came PAST the tunnel. That is a bug: please report it.`;
  return `${first}${back}${gap}${file}`;
}

/** The table of a test run: one line for each network and mode. */
export function tableText(stories: readonly Story[]): string {
  const head = ['network', 'mode', 'first page', 'after the last step', 'longest gap', 'the file', 'states'];
  const rows = stories.map((story) => [
    story.network,
    story.mode,
    optional(story.firstPageMs),
    optional(story.backMs),
    optional(story.longestGapMs),
    optional(story.downloadMs),
    [story.states.join(' → '), story.health.join(' ')].filter((text) => text !== '').join('; '),
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function optional(ms: number | undefined): string {
  return ms === undefined ? '' : seconds(ms);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
