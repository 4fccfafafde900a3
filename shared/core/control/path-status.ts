/** Of Status: the way out that the edge takes for this machine, and what the tunnel costs in time. */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from './shape.ts';

/** Asked of the edge after every connect, and at most every half minute while somebody looks at the status. */
export interface ChosenPath {
  /** Where flows go now unless a rule of the edge says otherwise. */
  readonly id: string;
  /** The path that was asked for, or 'auto'. */
  readonly chosen: string;
  /** From the edge on; absent where nothing was measured. */
  readonly rttMs?: number;
  readonly lossPercent?: number;
}

/** What was measured at the last connect, with the machine's own connections and little data. */
export interface Receipt {
  /** False: `text` says why, and nothing else is there. */
  readonly measured: boolean;
  /** One sentence. */
  readonly text: string;
  /** RFC 3339. */
  readonly at?: string;
  readonly tunnel?: {
    /** A connection to the edge's own address inside the tunnel. */
    readonly connectMs: number;
    /** A question to the edge's resolver. */
    readonly lookupMs?: number;
    /** Of a download of up to a megabyte from the edge itself. */
    readonly goodputMbps?: number;
  };
  readonly direct?: {
    /** A connection to the edge's API outside the tunnel; only where the mode leaves that open. */
    readonly connectMs?: number;
    /** The tunnel's own handshake, which always goes directly. */
    readonly handshakeMs?: number;
  };
  /** The way out at that time, as the edge measured it. */
  readonly path?: { readonly id: string; readonly rttMs?: number };
}

const optionalNumber = Type.Optional(Type.Number());

export const chosenPathShape: Shape<ChosenPath> = shapeOf(
  Type.Object({
    id: Type.String(),
    chosen: Type.String(),
    rttMs: optionalNumber,
    lossPercent: optionalNumber,
  }),
);

export const receiptShape: Shape<Receipt> = shapeOf(
  Type.Object({
    measured: Type.Boolean(),
    text: Type.String(),
    at: Type.Optional(Type.String()),
    tunnel: Type.Optional(
      Type.Object({ connectMs: Type.Number(), lookupMs: optionalNumber, goodputMbps: optionalNumber }),
    ),
    direct: Type.Optional(Type.Object({ connectMs: optionalNumber, handshakeMs: optionalNumber })),
    path: Type.Optional(Type.Object({ id: Type.String(), rttMs: optionalNumber })),
  }),
);
