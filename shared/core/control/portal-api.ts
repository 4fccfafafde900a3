/** The part of the control API about networks that want a sign-in: types, schemas and routes for api.ts. */

import { Type } from '@sinclair/typebox';
import type { Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';

/** In Status, while the network wants a sign-in. */
export interface PortalStatus {
  /** A page of ours to open: the network leads it to its sign-in. Never an address that the network named. */
  readonly url: string;
  /** Until then the way to the sign-in is open, RFC 3339; absent where nothing had to be opened, or its time is over. */
  readonly opensUntil?: string;
}

export interface PortalReport {
  /** Networks are asked. */
  readonly detection: boolean;
  /** Absent where this network wants no sign-in, as far as is known. */
  readonly portal?: PortalStatus;
  /** What the last round of questions meant. */
  readonly verdict?: 'online' | 'portal' | 'no-internet' | 'unknown';
  /** The user said that this network has no sign-in. */
  readonly ignored: boolean;
}

export interface PortalRoutes {
  readonly portal: Route<undefined, PortalReport>;
  readonly openPortal: Route<undefined, PortalReport>;
  readonly ignorePortal: Route<undefined, PortalReport>;
}

const text = Type.String();

export const portalStatusShape: Shape<PortalStatus> = shapeOf(
  Type.Object({ url: text, opensUntil: Type.Optional(text) }),
);
const reportShape: Shape<PortalReport> = shapeOf(
  Type.Object({
    detection: Type.Boolean(),
    portal: Type.Optional(portalStatusShape),
    verdict: Type.Optional(
      Type.Union([
        Type.Literal('online'),
        Type.Literal('portal'),
        Type.Literal('no-internet'),
        Type.Literal('unknown'),
      ]),
    ),
    ignored: Type.Boolean(),
  }),
);

export const portalRoutes: PortalRoutes = {
  portal: {
    method: 'GET',
    path: '/v1/portal',
    text: 'Whether this network wants a sign-in.',
    body: undefined,
    result: reportShape,
  },
  openPortal: {
    method: 'POST',
    path: '/v1/portal/open',
    text: 'Opens the way to the sign-in for some minutes more.',
    body: undefined,
    result: reportShape,
  },
  ignorePortal: {
    method: 'POST',
    path: '/v1/portal/ignore',
    text: 'This network has no sign-in: it is not asked again.',
    body: undefined,
    result: reportShape,
  },
};
