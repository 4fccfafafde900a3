/** An address as the key of a Map: its bytes as characters, so that the two families never meet. */

/** `address`: 4 or 16 bytes. */
export function addressKey(address: Uint8Array): string {
  return String.fromCharCode(...address);
}
