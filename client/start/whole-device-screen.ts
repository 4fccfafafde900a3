/** What the demonstration of a whole device shows. Pure: numbers in, text out. */

import {
  countFacts,
  draw,
  drawFacts,
  durationText,
  type Fact,
  type Look,
  paint,
  rateText,
  type TwoCounts,
} from './screen.ts';

/** Everything that the demonstration found out. */
export interface Findings extends TwoCounts {
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

export function picture(look: Look, found: Findings): string {
  return draw(look, {
    boxWidth: 14,
    gapWidth: 13,
    boxes: [
      { title: 'you', name: found.clientAddress },
      { title: 'your edge', name: found.seenV4 },
      { title: 'a web server', name: found.webAddress },
    ],
    gaps: [
      { isEncrypted: true, words: 'encrypted' },
      { isEncrypted: false, words: 'as usual' },
    ],
    under: { gap: 0, lines: [`↓ ${rateText(found.downBps)}`, `↑ ${rateText(found.upBps)}`] },
  });
}

export function proof(look: Look, found: Findings): string {
  const handshake: readonly Fact[] =
    found.handshakeMs === undefined
      ? []
      : [['handshake', `${found.handshakeMs.toFixed(1)} ms from the first message to its answer`]];
  return drawFacts(look, [
    ['before', 'no page loaded: there was no other way out'],
    ['after', `the web server saw ${found.seenV4} and ${found.seenV6},`],
    ['', 'which are the addresses of your edge, not yours'],
    [
      'connecting',
      `${durationText(found.connectMs)}, keys agreed and proven by an answer through the tunnel`,
    ],
    ...handshake,
    ['a round trip', `${found.roundTripMs.toFixed(1)} ms from you to the web server and back`],
    ['speed', `${rateText(found.downBps)} down, ${rateText(found.upBps)} up, on this machine alone`],
    ['path', `${found.path}: the edge's own way to the Internet`],
    ...countFacts(found),
  ]);
}

export function tryIt(look: Look, namespace: string, url: string): string {
  const command = paint(look, 'bold', `sudo ip netns exec ${namespace} curl ${url}`);
  return `\n  Try it from another terminal; Ctrl-C ends it.\n    ${command}\n\n`;
}
