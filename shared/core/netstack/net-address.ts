/** Which addresses may take part in a flow, and which are ours. */

/** Whether the address at `at` can be that of one host: no multicast, loopback, unspecified, broadcast. */
export function isHostAddress(bytes: Uint8Array, at: number, size: number): boolean {
  const first = bytes[at]!;
  if (size === 4) return first !== 0 && first !== 127 && first < 224;
  if (first === 0xff) return false;
  for (let i = 0; i < 15; i++) {
    if (bytes[at + i] !== 0) return true;
  }
  return bytes[at + 15]! > 1;
}

/** Whether the address at `at` is one of `own`. */
export function isOneOf(own: readonly Uint8Array[], bytes: Uint8Array, at: number, size: number): boolean {
  for (let i = 0; i < own.length; i++) {
    if (own[i]!.length === size && isAddressAt(own[i]!, bytes, at)) return true;
  }
  return false;
}

function isAddressAt(address: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < address.length; i++) {
    if (address[i] !== bytes[at + i]) return false;
  }
  return true;
}
