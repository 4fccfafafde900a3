/** What the demonstration looks like: lines, the picture, the proof. Pure: numbers in, text out. */

import { stripVTControlCharacters, styleText } from 'node:util';

export interface Look {
  readonly colour: boolean;
}

/** Everything that the demonstration found out. */
export interface Findings {
  readonly clientAddress: string;
  readonly webAddress: string;
  /** From where the web server saw the visitor come. */
  readonly seenV4: string;
  readonly seenV6: string;
  readonly path: string;
  readonly connectMs: number;
  /** From the first handshake message to its answer; undefined where the edge began. */
  readonly handshakeMs: number | undefined;
  readonly roundTripMs: number;
  readonly downBps: number;
  readonly upBps: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** The same traffic as the edge counted it. */
  readonly edgeReceivedBytes: number;
  readonly edgeSentBytes: number;
}

type Style = Parameters<typeof styleText>[0];

const stepWidth = 60;
const boxWidth = 14;
const gapWidth = 13;
const margin = '  ';
/** Share by which two counts of the same traffic may differ: packets are under way while we read. */
const countTolerance = 0.01;

function paint(look: Look, style: Style, text: string): string {
  return look.colour ? styleText(style, text, { validateStream: false }) : text;
}

export function headline(look: Look): string {
  return [
    '',
    paint(look, 'bold', 'culvert: a private way out that belongs to you'),
    '',
    'Three small computers are built inside this one: yours, an edge, and a web',
    'server far away. Yours can reach the edge and nothing else. Watch it get out.',
    '',
    '',
  ].join('\n');
}

/** '  ✓ what was done          12 ms'. */
export function stepLine(look: Look, text: string, ms: number): string {
  return `  ${paint(look, 'green', '✓')} ${text.padEnd(stepWidth)} ${paint(look, 'dim', durationText(ms).padStart(8))}\n`;
}

export function failedLine(look: Look, text: string): string {
  return `  ${paint(look, 'red', '✗')} ${text}\n`;
}

export function picture(look: Look, found: Findings): string {
  const bold = (text: string): string => paint(look, 'bold', text);
  const dim = (text: string): string => paint(look, 'dim', text);
  const edge = (left: string, right: string): string => `${left}${'─'.repeat(boxWidth)}${right}`;
  const gap = ' '.repeat(gapWidth);
  const tunnel = paint(look, 'green', `${'═'.repeat(gapWidth - 1)}▶`);
  const plain = dim(`${'─'.repeat(gapWidth - 1)}▶`);
  const titles = [bold('you'), bold('your edge'), bold('a web server')];
  const names = [found.clientAddress, found.seenV4, found.webAddress];
  const rows = [
    titles.map((title) => centre(title, boxWidth + 2)).join(gap),
    [0, 1, 2].map(() => edge('┌', '┐')).join(gap),
    `${boxed(names[0])}${tunnel}${boxed(names[1])}${plain}${boxed(names[2])}`,
    `${edge('└', '┘')}${dim(centre('encrypted', gapWidth))}${edge('└', '┘')}${dim(centre('as usual', gapWidth))}${edge('└', '┘')}`,
    `${centre('', boxWidth + 2)}${centre(`↓ ${rateText(found.downBps)}`, gapWidth)}`,
    `${centre('', boxWidth + 2)}${centre(`↑ ${rateText(found.upBps)}`, gapWidth)}`,
  ];
  return `\n${rows.map((row) => `${margin}${row}`.trimEnd()).join('\n')}\n`;
}

export function proof(look: Look, found: Findings): string {
  const agree = countsAgree(found);
  const rows: (readonly [string, string])[] = [
    ['before', 'no page loaded: there was no other way out'],
    ['after', `the web server saw ${found.seenV4} and ${found.seenV6},`],
    ['', 'which are the addresses of your edge, not yours'],
    [
      'connecting',
      `${durationText(found.connectMs)}, keys agreed and proven by an answer through the tunnel`,
    ],
    ...(found.handshakeMs === undefined
      ? []
      : ([
          ['handshake', `${found.handshakeMs.toFixed(1)} ms from the first message to its answer`],
        ] as const)),
    ['a round trip', `${found.roundTripMs.toFixed(1)} ms from you to the web server and back`],
    ['speed', `${rateText(found.downBps)} down, ${rateText(found.upBps)} up, on this machine alone`],
    ['path', `${found.path}: the edge's own way to the Internet`],
    ['you counted', `${bytesText(found.sentBytes)} sent, ${bytesText(found.receivedBytes)} received`],
    [
      'edge counted',
      `${bytesText(found.edgeReceivedBytes)} from you, ${bytesText(found.edgeSentBytes)} to you${agree ? ': the same' : ''}`,
    ],
  ];
  const lines = rows.map(([name, text]) => `  ${paint(look, 'dim', name.padEnd(13))} ${text}`);
  return `\n${lines.join('\n')}\n`;
}

/** True where both ends counted the same traffic. */
export function countsAgree(found: Findings): boolean {
  const near = (a: number, b: number): boolean => Math.abs(a - b) <= countTolerance * Math.max(a, b);
  return near(found.sentBytes, found.edgeReceivedBytes) && near(found.receivedBytes, found.edgeSentBytes);
}

export interface Moment {
  readonly heading: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly seconds: number;
}

/** The one line that is drawn again every second. */
export function liveLine(look: Look, moment: Moment): string {
  const traffic = `↓ ${bytesText(moment.receivedBytes)}  ↑ ${bytesText(moment.sentBytes)}`;
  const dot = paint(look, 'green', '●');
  return `  ${dot} ${moment.heading}  ${paint(look, 'dim', `${clockText(moment.seconds)}  ${traffic}  Ctrl-C ends it`)}`;
}

export function tryIt(look: Look, namespace: string, url: string): string {
  const command = paint(look, 'bold', `sudo ip netns exec ${namespace} curl ${url}`);
  return `\n  Try it from another terminal:\n    ${command}\n\n`;
}

export function farewell(look: Look): string {
  return [
    '',
    '  All of it is gone again: nothing was left on this machine.',
    '',
    `  ${paint(look, 'dim', 'on a server ')} npx culvert-edge run`,
    `  ${paint(look, 'dim', 'on a laptop ')} npx culvert import FILE.conf && npx culvert connect`,
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

function boxed(text = ''): string {
  return `│${centre(text, boxWidth)}│`;
}

/** Colours take no room. */
function centre(text: string, width: number): string {
  const free = Math.max(0, width - stripVTControlCharacters(text).length);
  const left = Math.floor(free / 2);
  return `${' '.repeat(left)}${text}${' '.repeat(free - left)}`;
}
