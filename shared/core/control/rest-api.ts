/**
 * The part of the control API about resting: a pause, and networks that the user trusts. Types, schemas and routes for
 * api.ts.
 */

import { Type } from '@sinclair/typebox';
import type { Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';
import { type Status, statusShape } from './status.ts';

export interface PauseRequest {
  /** Milliseconds, a day at most. */
  readonly forMs: number;
}

export interface TrustedNetwork {
  /** Name of the Wi-Fi. */
  readonly ssid: string;
}

export interface TrustedList {
  readonly ssids: readonly string[];
  /** Networks by cable are trusted, too. */
  readonly wired: boolean;
  /** The Wi-Fi of now; absent where there is none, or nobody can tell. */
  readonly current?: string;
}

export interface RestRoutes {
  readonly pause: Route<PauseRequest, Status>;
  readonly trusted: Route<undefined, TrustedList>;
  readonly trust: Route<TrustedNetwork, TrustedList>;
  readonly distrust: Route<TrustedNetwork, TrustedList>;
}

const longestPauseMs = 24 * 60 * 60 * 1000;
/** IEEE 802.11 allows 32 bytes; whether it is a name is decided where it is kept. */
const longestSsid = 64;

const strict = { additionalProperties: false };
const pauseShape: Shape<PauseRequest> = shapeOf(
  Type.Object({ forMs: Type.Number({ exclusiveMinimum: 0, maximum: longestPauseMs }) }, strict),
);
const networkShape: Shape<TrustedNetwork> = shapeOf(
  Type.Object({ ssid: Type.String({ minLength: 1, maxLength: longestSsid }) }, strict),
);
const listShape: Shape<TrustedList> = shapeOf(
  Type.Object({
    ssids: Type.Array(Type.String()),
    wired: Type.Boolean(),
    current: Type.Optional(Type.String()),
  }),
);

export const restRoutes: RestRoutes = {
  pause: {
    method: 'POST',
    path: '/v1/pause',
    text: 'Turns protection off for a while; it comes back by itself.',
    body: pauseShape,
    result: statusShape,
  },
  trusted: {
    method: 'GET',
    path: '/v1/trusted',
    text: 'The networks in which protection rests.',
    body: undefined,
    result: listShape,
  },
  trust: {
    method: 'POST',
    path: '/v1/trusted',
    text: 'Adds a Wi-Fi to them, by its name.',
    body: networkShape,
    result: listShape,
  },
  distrust: {
    method: 'POST',
    path: '/v1/trusted/remove',
    text: 'Takes a Wi-Fi off the list.',
    body: networkShape,
    result: listShape,
  },
};
