/**
 * Where a peer is: a UDP address and port, and the local address that its packets came to, as one
 * fixed record of bytes, so that batches carry addresses without objects.
 *
 * Layout (48 bytes, network byte order):
 *   0      family: 0 none, 4, 6
 *   1      unused, zero
 *   2-3    port
 *   4-19   address (IPv4 in the first four bytes, rest zero)
 *   20-23  IPv6 scope id (interface number), else zero
 *   24-39  local address that the last packet came to ("sticky source"), zero where unknown
 *   40-43  local interface number, zero where unknown
 *   44-47  unused, zero
 */

export const endpointSize = 48;

/** The part that says where the peer is; the rest is our own side. */
export const endpointRemoteSize = 24;

/** An endpoint as people and configurations write it. `address` is numeric. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** True when both records name the same remote address and port. */
export function sameRemote(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  for (let i = 0; i < endpointRemoteSize; i++) {
    if (a[aOffset + i] !== b[bOffset + i]) return false;
  }
  return true;
}

/** True when both records are the same, our own side included. */
export function sameEndpoint(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  for (let i = 0; i < endpointSize; i++) {
    if (a[aOffset + i] !== b[bOffset + i]) return false;
  }
  return true;
}
