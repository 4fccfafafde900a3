/** What a relay is told: as JSON on the command line of relay-program.ts, later as lines on its standard input. */

import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { CulvertError } from '../../core/control/codes.ts';
import { type Shape, shapeOf } from '../../core/control/shape.ts';
import type { Impairment, LinkCounts } from './impaired-link.ts';

/** One end: an interface that appears in a network namespace, with addresses and up. */
export interface RelayEnd {
  /** Absent: the namespace in which the relay runs. */
  readonly namespace?: string;
  /** Of the interface, 1 to 15 characters. */
  readonly interface: string;
  /** With prefix length, as `ip address add` takes them. */
  readonly addresses: readonly string[];
}

export interface RelaySettings {
  /** The same seed loses the same packets. */
  readonly seed: number;
  /** Of both interfaces, 1280 to 9000; default 1500. */
  readonly mtu?: number;
  /** Most packets under way in both directions together; default 16 384. */
  readonly slots?: number;
  readonly first: RelayEnd;
  readonly second: RelayEnd;
  /** From the first end to the second. */
  readonly forward: Impairment;
  readonly backward: Impairment;
}

/** A line on standard input. Each is answered by one line, RelayAnswer as JSON. */
export interface RelayOrder {
  /** Comes back with the answer. */
  readonly id?: number;
  readonly forward?: Impairment;
  readonly backward?: Impairment;
}

export interface RelayAnswer {
  /** Of the order; absent in the last line. */
  readonly id?: number;
  readonly forward: LinkCounts;
  readonly backward: LinkCounts;
  /** Packets that the system would not take, for example of an interface that is down. */
  readonly refused: number;
}

export const defaultRelayMtu = 1500;
export const defaultRelaySlots = 16_384;
const maxAddresses = 8;

const percent = Type.Optional(Type.Number({ minimum: 0, maximum: 100 }));
const milliseconds = Type.Optional(Type.Number({ minimum: 0, maximum: 60_000 }));
const strict = { additionalProperties: false };

const impairmentShape = Type.Object(
  {
    delayMs: milliseconds,
    jitterMs: milliseconds,
    lossPercent: percent,
    duplicatePercent: percent,
    reorderPercent: percent,
    reorderMs: milliseconds,
    rateMbit: Type.Optional(Type.Number({ minimum: 0, maximum: 100_000 })),
    queueMs: milliseconds,
  },
  strict,
);

const endShape = Type.Object(
  {
    namespace: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' })),
    interface: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,15}$' }),
    addresses: Type.Array(Type.String({ pattern: '^[0-9a-fA-F:.]+/[0-9]+$' }), { maxItems: maxAddresses }),
  },
  strict,
);

const settingsShape: Shape<RelaySettings> = shapeOf<RelaySettings>(
  Type.Object(
    {
      seed: Type.Integer({ minimum: 0, maximum: 0xffff_ffff }),
      mtu: Type.Optional(Type.Integer({ minimum: 1280, maximum: 9000 })),
      slots: Type.Optional(Type.Integer({ minimum: 16, maximum: 65_536 })),
      first: endShape,
      second: endShape,
      forward: impairmentShape,
      backward: impairmentShape,
    },
    strict,
  ),
);

const orderShape: Shape<RelayOrder> = shapeOf<RelayOrder>(
  Type.Object(
    {
      id: Type.Optional(Type.Integer()),
      forward: Type.Optional(impairmentShape),
      backward: Type.Optional(impairmentShape),
    },
    strict,
  ),
);

/** Throws CulvertError 'bad-usage'. */
export function parseRelaySettings(text: string): RelaySettings {
  return parseAs(settingsShape, text);
}

/** Throws CulvertError 'bad-usage'. */
export function parseRelayOrder(text: string): RelayOrder {
  return parseAs(orderShape, text);
}

function parseAs<T>(shape: Shape<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CulvertError('bad-usage', { text: 'The relay was not given JSON.', cause });
  }
  const problem = Value.Errors(shape, value).First();
  if (problem === undefined) return value as T;
  const place = problem.path === '' ? 'its settings' : problem.path;
  throw new CulvertError('bad-usage', {
    text: `The relay does not understand ${place}: ${problem.message}.`,
  });
}
