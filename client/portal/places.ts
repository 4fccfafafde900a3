/** Where a network wants its sign-in done: names and ports that it named itself, and their addresses. Data, and rules. */

import { isIP } from 'node:net';
import type { SignInAddress } from '../connection/state.ts';

/** As a page named it: hostile until it is looked up by the network's own DNS. */
export interface SignInPlace {
  readonly host: string;
  readonly port: number;
}

/** Of one sign-in. A page that needs more is not let further into the open. */
export const maxPlaces = 16;
export const maxAddresses = 32;
const webPorts = [80, 443];

/** A name or a numeric address without anything that could be more than that. */
export function isHostText(text: string): boolean {
  return (
    isIP(text) !== 0 || (/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?$/.test(text) && text.length <= 253)
  );
}

/** The ports of one place: those of the web, and its own. */
export function portsOf({ port }: SignInPlace): readonly number[] {
  return webPorts.includes(port) ? webPorts : [...webPorts, port];
}

/** Never an address of this machine itself, of everybody, or of groups. */
export function mayHoldSignIn(address: string): boolean {
  const v4 = address.replace(/^::ffff:/i, '');
  if (isIP(v4) === 4) return !/^(0\.|127\.|22[4-9]\.|2[3-5]\d\.)/.test(v4);
  return isIP(address) === 6 && !/^(::1?$|ff)/i.test(address);
}

/** The addresses with their ports, each once, bounded; those that were known already first. */
export function withAddresses(
  known: readonly SignInAddress[],
  place: SignInPlace,
  addresses: readonly string[],
): readonly SignInAddress[] {
  const found = addresses
    .filter(mayHoldSignIn)
    .flatMap((address) => portsOf(place).map((port) => ({ address, port })));
  const fresh = found.filter(
    (one) => !known.some(({ address, port }) => address === one.address && port === one.port),
  );
  return [...known, ...fresh].slice(0, maxAddresses);
}
