/**
 * How WireGuard's messages are made to look like something else: the parameters of AmneziaWG (docs.amnezia.org), by
 * which its apps, servers and culvert understand each other. Data only; doing it is disguise.ts, reading it
 * disguise-fields.ts. No security layer: whoever knows the numbers sees WireGuard, and what is inside stays as safe as
 * it was.
 */

import { cookieReplySize } from './cookie-reply.ts';
import { initiationSize } from './initiation.ts';
import { responseSize } from './response.ts';
import { transportOverhead } from './transport.ts';

/** One value for each of the four messages, in the order of their types. */
export interface PerMessage<T> {
  readonly initiation: T;
  readonly response: T;
  readonly cookieReply: T;
  readonly transport: T;
}

/** Values of a message's first four bytes, both ends included. Each message gets one of them by chance. */
export interface TypeRange {
  readonly from: number;
  readonly to: number;
}

export interface JunkRule {
  /** Datagrams of noise before every initiation; 0 = none. */
  readonly count: number;
  /** Bytes of each: by chance, both included. */
  readonly min: number;
  readonly max: number;
}

export interface DisguiseRules {
  /** Ours alone: the other end needs not know it. */
  readonly junk: JunkRule;
  /** Bytes of noise before each message. Both ends must agree. */
  readonly prefix: PerMessage<number>;
  /** Both ends must agree. */
  readonly types: PerMessage<TypeRange>;
}

/** WireGuard as it is. */
export const plainRules: DisguiseRules = {
  junk: { count: 0, min: 0, max: 0 },
  prefix: { initiation: 0, response: 0, cookieReply: 0, transport: 0 },
  types: {
    initiation: { from: 1, to: 1 },
    response: { from: 2, to: 2 },
    cookieReply: { from: 3, to: 3 },
    transport: { from: 4, to: 4 },
  },
};

/** As many as other implementations take. */
export const maxJunkCount = 128;
/** What passes every path with IPv6. */
export const maxDisguisedSize = 1280;
/** What fits before a packet (packet/batch.ts); apps choose no more. */
export const maxTransportPrefix = 32;

/** Bytes of each message without its prefix; of data: of an empty packet. */
export const messageSizes: PerMessage<number> = {
  initiation: initiationSize,
  response: responseSize,
  cookieReply: cookieReplySize,
  transport: transportOverhead,
};

export const messageNames: readonly (keyof PerMessage<unknown>)[] = [
  'initiation',
  'response',
  'cookieReply',
  'transport',
];

/** Whether nothing is disguised. */
export function isPlain(rules: DisguiseRules): boolean {
  return rules.junk.count === 0 && isPlainOnWire(rules);
}

/** Whether an ordinary WireGuard understands the messages: junk is noise to it, which it drops. */
export function isPlainOnWire({ prefix, types }: DisguiseRules): boolean {
  return messageNames.every((name) => {
    const { from, to } = types[name];
    const plain = plainRules.types[name].from;
    return prefix[name] === 0 && from === plain && to === plain;
  });
}

/** Whether both are the same to the last number. */
export function sameRules(a: DisguiseRules, b: DisguiseRules): boolean {
  const sameJunk = a.junk.count === b.junk.count && a.junk.min === b.junk.min && a.junk.max === b.junk.max;
  return (
    sameJunk &&
    messageNames.every((name) => {
      const [one, other] = [a.types[name], b.types[name]];
      return a.prefix[name] === b.prefix[name] && one.from === other.from && one.to === other.to;
    })
  );
}
