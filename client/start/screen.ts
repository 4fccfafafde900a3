/**
 * What the demonstrations look like: lines, the picture of three boxes, facts in two columns, numbers as people
 * read them. Pure: numbers in, text out. No line is longer than 80 columns.
 */

import { stripVTControlCharacters, styleText } from 'node:util';

export interface Look {
  readonly colour: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** A picture: three boxes in a row, with an arrow between each two. */
export interface Picture {
  readonly boxWidth: number;
  readonly gapWidth: number;
  readonly boxes: readonly { readonly title: string; readonly name: string }[];
  /** What the arrows are; the drawn one is the encrypted one. */
  readonly gaps: readonly { readonly isEncrypted: boolean; readonly words: string }[];
  /** Lines under one of the gaps. */
  readonly under: { readonly gap: 0 | 1; readonly lines: readonly string[] };
}

/** What two ends counted of the same traffic. */
export interface TwoCounts {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** As the edge counted it. */
  readonly edgeReceivedBytes: number;
  readonly edgeSentBytes: number;
}

export type Fact = readonly [name: string, text: string];

const lineWidth = 80;
const stepWidth = 60;
const factWidth = 13;
const margin = '  ';
/** Share by which two counts of the same traffic may differ: packets are lost, or under way while we read. */
const countTolerance = 0.01;

export function paint(look: Look, style: Style, text: string): string {
  return look.colour ? styleText(style, text, { validateStream: false }) : text;
}

/** '  ✓ what was done          12 ms'. */
export function stepLine(look: Look, text: string, ms: number): string {
  return `  ${paint(look, 'green', '✓')} ${text.padEnd(stepWidth)} ${paint(look, 'dim', durationText(ms).padStart(8))}\n`;
}

export function failedLine(look: Look, text: string): string {
  return `  ${paint(look, 'red', '✗')} ${text}\n`;
}

export function draw(look: Look, picture: Picture): string {
  const { boxWidth, gapWidth, boxes, gaps, under } = picture;
  const edge = (left: string, right: string): string => `${left}${'─'.repeat(boxWidth)}${right}`;
  const arrows = gaps.map(({ isEncrypted }) =>
    isEncrypted
      ? paint(look, 'green', `${'═'.repeat(gapWidth - 1)}▶`)
      : paint(look, 'dim', `${'─'.repeat(gapWidth - 1)}▶`),
  );
  const words = gaps.map((gap) => paint(look, 'dim', centre(gap.words, gapWidth)));
  const spaces = gaps.map(() => ' '.repeat(gapWidth));
  const row = (cells: readonly string[], between: readonly string[]): string =>
    cells.map((cell, i) => `${cell}${between[i] ?? ''}`).join('');
  const indent = (boxWidth + 2) * (under.gap + 1) + gapWidth * under.gap;
  const rows = [
    row(
      boxes.map(({ title }) => centre(paint(look, 'bold', title), boxWidth + 2)),
      spaces,
    ),
    row(
      boxes.map(() => edge('┌', '┐')),
      spaces,
    ),
    row(
      boxes.map(({ name }) => `│${centre(name, boxWidth)}│`),
      arrows,
    ),
    row(
      boxes.map(() => edge('└', '┘')),
      words,
    ),
    ...under.lines.map((line) => `${' '.repeat(indent)}${centre(line, gapWidth)}`),
  ];
  return `\n${rows.map((line) => `${margin}${line}`.trimEnd()).join('\n')}\n`;
}

export function drawFacts(look: Look, facts: readonly Fact[]): string {
  const lines = facts.map(([name, text]) => `${margin}${paint(look, 'dim', name.padEnd(factWidth))} ${text}`);
  return `\n${lines.join('\n')}\n`;
}

/** The two lines in which both ends say what they counted. */
export function countFacts(counts: TwoCounts): readonly Fact[] {
  const share = differingShare(counts);
  const tenths = Math.ceil(share * 1000);
  const agree = tenths === 0 ? ': the same' : `: the same to ${(tenths / 10).toFixed(1)} %`;
  return [
    ['you counted', `${bytesText(counts.sentBytes)} sent, ${bytesText(counts.receivedBytes)} received`],
    [
      'edge counted',
      `${bytesText(counts.edgeReceivedBytes)} from you, ${bytesText(counts.edgeSentBytes)} to you${share <= countTolerance ? agree : ''}`,
    ],
  ];
}

/** True where both ends counted the same traffic. */
export function countsAgree(counts: TwoCounts): boolean {
  return differingShare(counts) <= countTolerance;
}

/** By how much the counts of one direction differ at most. */
function differingShare(counts: TwoCounts): number {
  const share = (a: number, b: number): number => (a === b ? 0 : Math.abs(a - b) / Math.max(a, b));
  return Math.max(
    share(counts.sentBytes, counts.edgeReceivedBytes),
    share(counts.receivedBytes, counts.edgeSentBytes),
  );
}

export interface Moment {
  readonly heading: string;
  readonly isConnected: boolean;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly seconds: number;
}

/** The one line that is drawn again every second. What has no room is left out. */
export function liveLine(look: Look, moment: Moment): string {
  const { heading, isConnected, receivedBytes, sentBytes, seconds } = moment;
  const parts = [
    clockText(seconds),
    `↓ ${bytesText(receivedBytes)}  ↑ ${bytesText(sentBytes)}`,
    'Ctrl-C ends it',
  ];
  let room = lineWidth - margin.length - heading.length - 4;
  const shown = parts.filter((part) => {
    room -= part.length + 2;
    return room >= 0;
  });
  const dot = paint(look, isConnected ? 'green' : 'yellow', '●');
  return `${margin}${dot} ${heading}  ${paint(look, 'dim', shown.join('  '))}`;
}

/** Whatever happened, nothing stays; and what to do next. */
export function farewell(look: Look): string {
  return [
    '',
    '  All of it is gone again: nothing was left on this machine.',
    '',
    `  ${paint(look, 'dim', 'on a server ')} npx culvert-edge init && npx culvert-edge run`,
    `  ${paint(look, 'dim', 'on a laptop ')} npx culvert enroll LINK && npx culvert connect`,
    `  ${paint(look, 'dim', 'how         ')} edge/README.md`,
    '',
    '',
  ].join('\n');
}

export function durationText(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function rateText(bps: number): string {
  if (bps >= 1e9) return `${(bps / 1e9).toFixed(1)} Gbit/s`;
  return bps >= 1e6 ? `${Math.round(bps / 1e6)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function clockText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${String(minutes).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Colours take no room. */
function centre(text: string, width: number): string {
  const free = Math.max(0, width - stripVTControlCharacters(text).length);
  const left = Math.floor(free / 2);
  return `${' '.repeat(left)}${text}${' '.repeat(free - left)}`;
}
