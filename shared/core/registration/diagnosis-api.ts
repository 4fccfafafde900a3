/**
 * What an edge tells a device about the device itself, so that a fault between the two can be named from both ends:
 * `GET /v1/devices/me/diagnosis`. Types and schema for api.ts. Nothing about other devices but whether any was heard.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';

export interface DeviceDiagnosis {
  /** The edge's clock, RFC 3339. */
  readonly now: string;
  /** Where this very question came from: 'address:port'; absent where it came through the tunnel. */
  readonly source?: string;
  /** Keys as the edge has them, base64. */
  readonly publicKey: string;
  readonly edgeKey: string;
  /** It has moved all that its quota allows. */
  readonly spent: boolean;
  /** Where this device may send to. */
  readonly udpPorts: readonly number[];
  /** What the tunnel saw of this device; absent where it does not know its key. */
  readonly tunnel?: TunnelSight;
  /** Handshakes of anybody that were refused since the edge started, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Another device was heard by UDP within the last ten minutes. */
  readonly othersHeard: boolean;
}

export interface TunnelSight {
  /** 'address:port', where the device was heard from last. */
  readonly endpoint?: string;
  /** RFC 3339; absent: never since the edge started. */
  readonly lastHandshakeAt?: string;
  /** All that came from and went to the device's key, handshakes included. */
  readonly rxBytes: number;
  readonly txBytes: number;
  /** How often its address or port changed within the last five minutes. */
  readonly moves: number;
}

/** Reasons of core/base/drop.ts that say something about a handshake; of a wrong length: whether large packets arrive. */
export const handshakeRefusals = [
  'wrong-length',
  'bad-mac1',
  'bad-mac2-under-load',
  'rate-limited',
  'bad-handshake',
  'unknown-peer',
  'stale-timestamp',
  'initiation-flood',
] as const;

const count = Type.Integer({ minimum: 0 });
const text = Type.String();

export const diagnosisShape: Shape<DeviceDiagnosis> = shapeOf(
  Type.Object({
    now: text,
    source: Type.Optional(text),
    publicKey: text,
    edgeKey: text,
    spent: Type.Boolean(),
    udpPorts: Type.Array(Type.Integer({ minimum: 1, maximum: 0xffff })),
    tunnel: Type.Optional(
      Type.Object({
        endpoint: Type.Optional(text),
        lastHandshakeAt: Type.Optional(text),
        rxBytes: count,
        txBytes: count,
        moves: count,
      }),
    ),
    refused: Type.Record(Type.String(), count),
    othersHeard: Type.Boolean(),
  }),
);
