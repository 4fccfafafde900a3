/** What a destination is remembered by: its name, its network, and the site that it belongs to. Pure. */

/** Bits of an address that destinations share: usual sizes of what is announced and of what one network has. */
const v4Bytes = 3;
const v6Bytes = 6;
/** Second-level labels below which names are given out: 'co' of 'co.uk'. */
const shortLabel = 3;

/** Of the network that a destination is remembered by; `size`: bytes of its address. */
export function networkBits(size: number): number {
  return 8 * (size === 4 ? v4Bytes : v6Bytes);
}

/** Keys of estimates, the most exact first. `name` only where it is known for certain. */
export function destinationKeys(address: Uint8Array, name: string | undefined): readonly string[] {
  const place = placeKey(address);
  return name === undefined ? [place] : [`n${name}`, place];
}

/** The key of the network alone. */
export function placeKey(address: Uint8Array): string {
  return `p${networkKey(address)}`;
}

/** Whose flows should leave by one exit: logins and cookies are for a site, not for a host. */
export function siteKey(device: string | undefined, address: Uint8Array, name: string | undefined): string {
  return `${device ?? ''}|${name === undefined ? networkKey(address) : registeredName(name)}`;
}

/** 'www.bank.example' → 'bank.example', 'a.b.co.uk' → 'b.co.uk'. A good guess without a list of suffixes. */
export function registeredName(name: string): string {
  const labels = name.split('.');
  const second = labels.at(-2) ?? '';
  const isShared = second.length <= shortLabel && labels.at(-1)?.length === 2;
  return labels.slice(isShared ? -3 : -2).join('.');
}

function networkKey(address: Uint8Array): string {
  return String.fromCharCode(...address.subarray(0, address.length === 4 ? v4Bytes : v6Bytes));
}
