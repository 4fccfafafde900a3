/** What the demonstration without root shows. Pure: numbers in, text out. */

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
export interface ProxyFindings extends TwoCounts {
  readonly proxyPort: number;
  readonly edgePort: number;
  /** Values of the edge's trace page, by their keys. */
  readonly trace: ReadonlyMap<string, string>;
  readonly connectMs: number;
  readonly handshakeMs: number | undefined;
  readonly roundTripMs: number;
  readonly downBps: number;
  readonly isRoot: boolean;
  /** What a public page said about whoever asked; undefined where none was asked. */
  readonly publicAddress: string | undefined;
}

const usualPort = 40_000;

export function headline(look: Look, internet: boolean): string {
  return [
    '',
    paint(look, 'bold', 'culvert: a private way out that belongs to you'),
    '',
    'An edge and a client start on this machine, without root: no network device, no',
    'firewall rule. Whatever uses the proxy goes through the tunnel between them.',
    internet
      ? 'The edge may ask public resolvers for names, and one public page is loaded.'
      : 'No public address is contacted; npm start -- --internet lets it.',
    '',
    '',
  ].join('\n');
}

export function picture(look: Look, found: ProxyFindings): string {
  return draw(look, {
    boxWidth: 16,
    gapWidth: 12,
    boxes: [
      { title: 'your programs', name: 'curl, a browser' },
      { title: 'culvert', name: `127.0.0.1:${found.proxyPort}` },
      { title: 'your edge', name: `127.0.0.1:${found.edgePort}` },
    ],
    gaps: [
      { isEncrypted: false, words: 'SOCKS, HTTP' },
      { isEncrypted: true, words: 'encrypted' },
    ],
    under: { gap: 1, lines: [`↓ ${rateText(found.downBps)}`] },
  });
}

export function proof(look: Look, found: ProxyFindings): string {
  const { trace } = found;
  const value = (key: string): string => trace.get(key) ?? '?';
  const handshake: readonly Fact[] =
    found.handshakeMs === undefined
      ? []
      : [['handshake', `${found.handshakeMs.toFixed(1)} ms from the first message to its answer`]];
  const outside: readonly Fact[] =
    found.publicAddress === undefined
      ? []
      : [
          ['the Internet', `a public page saw ${found.publicAddress},`],
          ['', 'the address of your edge'],
        ];
  return drawFacts(look, [
    ['before', 'no page loaded: the proxy never goes around the tunnel'],
    ['after', 'the edge itself answered, inside the tunnel:'],
    ['', `device=${value('device')}  ip=${value('ip')}  path=${value('path')}`],
    ...outside,
    ['closed', 'a web server on this machine itself: the edge would not reach it'],
    [
      'connecting',
      `${durationText(found.connectMs)}, keys agreed and proven by an answer through the tunnel`,
    ],
    ...handshake,
    ['a round trip', `${found.roundTripMs.toFixed(1)} ms through proxy and tunnel to the edge and back`],
    ['speed', `${rateText(found.downBps)} through the tunnel, on this machine alone`],
    ...countFacts(found),
    ['root', found.isRoot ? 'not needed; you happen to be root' : 'not needed, and not used'],
  ]);
}

export function howTo(look: Look, proxyPort: number): string {
  const bold = (text: string): string => paint(look, 'bold', text);
  const other =
    proxyPort === usualPort
      ? []
      : [`  Another program has port ${usualPort}, so the proxy is at port ${proxyPort} this time.`];
  return [
    '',
    '  Try it from another terminal; Ctrl-C ends it.',
    `    ${bold(`curl -x socks5h://127.0.0.1:${proxyPort} http://edge.culvert/trace`)}`,
    ...other,
    '',
    '',
  ].join('\n');
}
