/**
 * The bad networks of `culvert lab`, and what happens in them when. Pure: a network is a list of steps, and the faults
 * that hold at a moment become one nftables script of the network's router. A trace from a file is the same list.
 */

import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Shape, shapeOf } from '../../shared/core/control/shape.ts';
import { defaultLossSeed, lossRule } from './lost-packets.ts';

/** What the router does to packets until it is cleared. Each kind holds once; the later one counts. */
export type Fault =
  /** Nothing over UDP passes. */
  | { readonly do: 'block-udp' }
  /** UDP passes at this rate, kilobytes a second; what comes faster is dropped. */
  | { readonly do: 'throttle-udp'; readonly kilobytes: number }
  /** UDP in IP packets of more bytes vanishes without a word. */
  | { readonly do: 'drop-larger'; readonly bytes: number }
  /** Both ways; the same packets of each for the same seed (lost-packets.ts). */
  | { readonly do: 'lose'; readonly percent: number; readonly seed?: number }
  /** Every question for a name is answered by the network itself, with its own address. */
  | { readonly do: 'hijack-dns' }
  /** Nothing passes until `sign-in`; pages of the web lead to a sign-in page. */
  | { readonly do: 'portal' }
  /** The network answers every TLS connection itself, with a certificate of its own. */
  | { readonly do: 'intercept-tls' };

/** What happens once. */
export type Happening =
  /** The link behind the router takes no larger IP packets; it says so, as routers do. */
  | { readonly do: 'narrow-link'; readonly bytes: number }
  | { readonly do: 'sign-in' }
  /** To another network, with another address. */
  | { readonly do: 'move' }
  /** The laptop sleeps: its daemon stands still and its network is off. */
  | { readonly do: 'sleep' }
  | { readonly do: 'wake' }
  | { readonly do: 'kill-edge' }
  | { readonly do: 'start-edge' }
  /** Somebody begins to load a file; the story waits for it. */
  | { readonly do: 'download'; readonly kilobytes: number }
  /** All faults end. */
  | { readonly do: 'clear' };

export type LabStep = (Fault | Happening) & {
  /** What it is counted from: before `culvert connect`, from that command, or from the first page that loads. */
  readonly from: 'start' | 'connect' | 'page';
  /** Milliseconds; 0 at once. With 'start' they do not count. */
  readonly atMs: number;
};

/** What came of a network when it was written down. */
export interface Seen {
  readonly mode: string;
  readonly states: readonly string[];
  /** Codes, sorted. */
  readonly health: readonly string[];
  /** A page came through the tunnel. */
  readonly loads: boolean;
}

export interface LabNetwork {
  readonly name: string;
  /** What a person meets there. */
  readonly sentence: string;
  readonly steps: readonly LabStep[];
  /** Of a trace that was recorded. */
  readonly saw?: Seen;
}

export const labNetworks: readonly LabNetwork[] = [
  { name: 'good', sentence: 'Nothing is wrong: what the others are compared with.', steps: [] },
  {
    name: 'portal',
    sentence: 'A hotel: nothing passes until somebody signs in on a page; that happens after twelve seconds.',
    steps: [
      { do: 'portal', from: 'start', atMs: 0 },
      { do: 'sign-in', from: 'connect', atMs: 12_000 },
    ],
  },
  {
    name: 'udp-block',
    sentence: 'An office: nothing over UDP passes.',
    steps: [{ do: 'block-udp', from: 'start', atMs: 0 }],
  },
  {
    name: 'udp-throttle',
    sentence: 'A mobile network: UDP passes at 20 kilobytes a second, the rest is dropped.',
    steps: [
      { do: 'throttle-udp', kilobytes: 20, from: 'start', atMs: 0 },
      { do: 'download', kilobytes: 1000, from: 'page', atMs: 500 },
    ],
  },
  {
    name: 'big-udp-drop',
    sentence: 'Datagrams of more than 1300 bytes vanish without a word.',
    steps: [{ do: 'drop-larger', bytes: 1300, from: 'start', atMs: 0 }],
  },
  {
    name: 'loss3',
    sentence: 'A crowded Wi-Fi: three of a hundred packets are lost, both ways.',
    steps: [{ do: 'lose', percent: 3, from: 'start', atMs: 0 }],
  },
  {
    name: 'mtu1280',
    sentence: 'A link that takes packets of 1280 bytes at most.',
    steps: [{ do: 'narrow-link', bytes: 1280, from: 'start', atMs: 0 }],
  },
  {
    name: 'dns-hijack',
    sentence: 'Every name is answered with the address of the network itself.',
    steps: [{ do: 'hijack-dns', from: 'start', atMs: 0 }],
  },
  {
    name: 'tls-intercept',
    sentence:
      'A company: UDP is blocked, and every TLS connection is answered with the company’s own certificate.',
    steps: [
      { do: 'block-udp', from: 'start', atMs: 0 },
      { do: 'intercept-tls', from: 'start', atMs: 0 },
    ],
  },
  {
    name: 'roam',
    sentence: 'From one network to another with the tunnel up.',
    steps: [{ do: 'move', from: 'page', atMs: 1500 }],
  },
  {
    name: 'sleep',
    sentence: 'The laptop sleeps for five seconds and wakes up in the same network.',
    steps: [
      { do: 'sleep', from: 'page', atMs: 1500 },
      { do: 'wake', from: 'page', atMs: 6500 },
    ],
  },
  {
    name: 'edge-down',
    sentence: 'The edge dies and is back after five seconds.',
    steps: [
      { do: 'kill-edge', from: 'page', atMs: 1500 },
      { do: 'start-edge', from: 'page', atMs: 6500 },
    ],
  },
];

/** As in the table. Throws CulvertError 'bad-usage'. */
export function networkNamed(name: string): LabNetwork {
  const found = labNetworks.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new CulvertError('bad-usage', {
    text: `The lab has no network ${name}.`,
    remedy: 'See them all: culvert lab',
  });
}

/** Interfaces of the router: to the laptop (two networks), to the edge, to the web. */
export const routerLinks = { laptop: ['up0', 'up1'], edge: 'out0', web: 'web0' } as const;
/** Where the router's own programs listen. */
export const routerPorts = { signIn: 8080, falseDns: 5354, wideDns: 5355, falseTls: 8444 } as const;
/** Of the edge's HTTPS listener in the lab. */
export const edgeHttpsPort = 8443;

const happenings: ReadonlySet<string> = new Set<Happening['do']>([
  'narrow-link',
  'sign-in',
  'move',
  'sleep',
  'wake',
  'kill-edge',
  'start-edge',
  'download',
  'clear',
]);
const isFault = (step: Fault | Happening): step is Fault => !happenings.has(step.do);

/** The faults that hold once these steps were taken, in their order. */
export function faultsAfter(steps: readonly (Fault | Happening)[]): readonly Fault[] {
  let held: readonly Fault[] = [];
  for (const step of steps) {
    if (step.do === 'clear') held = [];
    else if (step.do === 'sign-in') held = held.filter((fault) => fault.do !== 'portal');
    else if (isFault(step)) held = [...held.filter((fault) => fault.do !== step.do), step];
  }
  return held;
}

/** Script for `nft -f -` on the router: exactly these faults hold. Repeating it changes nothing. */
export function routerRules(faults: readonly Fault[]): string {
  const forward = faults.flatMap(forwardRules);
  const arriving = faults.flatMap(arrivingRules);
  return [
    'table inet culvert_lab',
    'delete table inet culvert_lab',
    'table inet culvert_lab {',
    '  chain forward {',
    '    type filter hook forward priority filter; policy accept;',
    ...forward.map((rule) => `    ${rule}`),
    '  }',
    '  chain arriving {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    ...arriving.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

const laptopLinks = `{ ${routerLinks.laptop.map((name) => `"${name}"`).join(', ')} }`;
const fromLaptop = `iifname ${laptopLinks}`;

function lossRules({ percent, seed = defaultLossSeed }: Extract<Fault, { do: 'lose' }>): readonly string[] {
  return [...lossRule(fromLaptop, percent, seed), ...lossRule(`oifname ${laptopLinks}`, percent, seed + 1)];
}

/** The same network with other packets lost. */
export function withSeed(network: LabNetwork, seed: number): LabNetwork {
  const steps = network.steps.map((step) => (step.do === 'lose' ? { ...step, seed } : step));
  return { ...network, steps };
}

function forwardRules(fault: Fault): readonly string[] {
  switch (fault.do) {
    case 'block-udp':
      return ['meta l4proto udp drop'];
    case 'throttle-udp':
      return [`meta l4proto udp limit rate over ${fault.kilobytes} kbytes/second burst 16 kbytes drop`];
    case 'drop-larger':
      return [`meta l4proto udp meta length > ${fault.bytes} drop`];
    case 'lose':
      return lossRules(fault);
    case 'portal':
      return [`${fromLaptop} drop`];
    case 'hijack-dns':
    case 'intercept-tls':
      return [];
  }
}

function arrivingRules(fault: Fault): readonly string[] {
  switch (fault.do) {
    case 'portal':
      // Such networks answer for names, and lead only the pages elsewhere.
      return [
        `${fromLaptop} tcp dport 80 redirect to :${routerPorts.signIn}`,
        `${fromLaptop} udp dport 53 redirect to :${routerPorts.wideDns}`,
      ];
    case 'hijack-dns':
      return [`${fromLaptop} udp dport 53 redirect to :${routerPorts.falseDns}`];
    case 'intercept-tls':
      return [`${fromLaptop} tcp dport { 443, ${edgeHttpsPort} } redirect to :${routerPorts.falseTls}`];
    case 'block-udp':
    case 'throttle-udp':
    case 'drop-larger':
    case 'lose':
      return [];
  }
}

/** What a step does, as a person reads it in the story. */
export function stepText(step: Fault | Happening): string {
  switch (step.do) {
    case 'block-udp':
      return 'UDP is blocked';
    case 'throttle-udp':
      return `UDP passes at ${step.kilobytes} kilobytes a second`;
    case 'drop-larger':
      return `datagrams of more than ${step.bytes} bytes vanish`;
    case 'lose':
      return `${step.percent} of 100 packets are lost`;
    case 'hijack-dns':
      return 'every name is answered with a false address';
    case 'portal':
      return 'nothing passes before a sign-in';
    case 'intercept-tls':
      return 'TLS connections are intercepted';
    case 'narrow-link':
      return `the link takes ${step.bytes} bytes at most`;
    case 'sign-in':
      return 'you sign in';
    case 'move':
      return 'the laptop moves to another network';
    case 'sleep':
      return 'the laptop sleeps';
    case 'wake':
      return 'the laptop wakes up';
    case 'kill-edge':
      return 'the edge dies';
    case 'start-edge':
      return 'the edge is started again';
    case 'download':
      return `somebody loads a file of ${step.kilobytes} kilobytes`;
    case 'clear':
      return 'the network is good again';
  }
}

const maxSteps = 200;
export const maxSeed = 0x7fff_ffff;
const maxAtMs = 600_000;
const strict = { additionalProperties: false };
const when = {
  from: Type.Union([Type.Literal('start'), Type.Literal('connect'), Type.Literal('page')]),
  atMs: Type.Number({ minimum: 0, maximum: maxAtMs }),
};
const bytes = Type.Integer({ minimum: 576, maximum: 65_535 });
const linkBytes = Type.Integer({ minimum: 1280, maximum: 1500 });
const fileKilobytes = Type.Integer({ minimum: 1, maximum: 100_000 });
const plainWords = [
  'block-udp',
  'hijack-dns',
  'portal',
  'intercept-tls',
  'sign-in',
  'move',
  'sleep',
  'wake',
  'kill-edge',
  'start-edge',
  'clear',
] as const;
const word = Type.String({ maxLength: 64 });
const words = Type.Array(word, { maxItems: maxSteps });
const traceShape: Shape<LabNetwork> = shapeOf<LabNetwork>(
  Type.Object(
    {
      name: Type.String({ maxLength: 64 }),
      sentence: Type.String({ maxLength: 400 }),
      steps: Type.Array(
        Type.Union([
          ...plainWords.map((word) => Type.Object({ do: Type.Literal(word), ...when }, strict)),
          Type.Object(
            {
              do: Type.Literal('throttle-udp'),
              kilobytes: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
              ...when,
            },
            strict,
          ),
          Type.Object({ do: Type.Literal('drop-larger'), bytes, ...when }, strict),
          Type.Object(
            {
              do: Type.Literal('lose'),
              percent: Type.Number({ minimum: 0, maximum: 100 }),
              seed: Type.Optional(Type.Integer({ minimum: 0, maximum: maxSeed })),
              ...when,
            },
            strict,
          ),
          Type.Object({ do: Type.Literal('download'), kilobytes: fileKilobytes, ...when }, strict),
          Type.Object({ do: Type.Literal('narrow-link'), bytes: linkBytes, ...when }, strict),
        ]),
        { maxItems: maxSteps },
      ),
      saw: Type.Optional(
        Type.Object({ mode: word, states: words, health: words, loads: Type.Boolean() }, strict),
      ),
    },
    strict,
  ),
);

/** A trace that was written down. Throws CulvertError 'bad-usage'. */
export function parseTrace(text: string): LabNetwork {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CulvertError('bad-usage', { text: 'The trace is not JSON.', cause });
  }
  const problem = Value.Errors(traceShape, value).First();
  if (problem === undefined) return value as LabNetwork;
  const place = problem.path === '' ? 'The trace' : `${problem.path} of the trace`;
  throw new CulvertError('bad-usage', { text: `${place} is not understood: ${problem.message}.` });
}
