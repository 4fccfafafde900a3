/**
 * By which ports an edge can be reached: what it told when this machine enrolled, and at each connect since. Pure. An
 * edge of an imported file is known by one UDP port alone.
 */

import { parsePin } from '../../shared/core/registration/invite.ts';
import type { Registration } from '../enroll/registrations.ts';

export interface EdgeWays {
  /** The usual one first. */
  readonly udpPorts: readonly number[];
  /** 443 first, since networks close it last. */
  readonly httpsPorts: readonly number[];
  /** SHA-256 of the public key in the edge's certificate. */
  readonly pin: Uint8Array;
}

/** `auto`: whichever answers first. */
export const transportChoices = ['auto', 'udp', 'tls'] as const;

export type TransportChoice = (typeof transportChoices)[number];

const firstHttpsPort = 443;
/** An edge that names more is not tried at all of them. */
const maxPorts = 8;

/** `filePort`: the UDP port in the edge's file. Undefined where nobody enrolled there. */
export function waysOf(registration: Registration | undefined, filePort: number): EdgeWays | undefined {
  const pin = registration === undefined ? undefined : parsePin(registration.pin);
  if (registration === undefined || pin === undefined) return undefined;
  const { udpPorts = [], httpsPorts = [], port } = registration;
  const https = [...new Set([port, ...httpsPorts])];
  return {
    udpPorts: [...new Set([filePort, ...udpPorts])].slice(0, maxPorts),
    httpsPorts: https
      .toSorted((a, b) => Number(b === firstHttpsPort) - Number(a === firstHttpsPort))
      .slice(0, maxPorts),
    pin,
  };
}
