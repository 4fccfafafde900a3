/** Words of nft that the parts of our table share. Pure; whoever calls has checked that addresses hold no syntax. */

import { isIPv6 } from 'node:net';

/** Of an address or a prefix; a scope does not matter. */
export function family(address: string): 'ip' | 'ip6' {
  return isIPv6(withoutScope(address).split('/')[0] ?? '') ? 'ip6' : 'ip';
}

/** Packets to an address or a prefix. */
export function daddr(address: string): string {
  return `${family(address)} daddr ${withoutScope(address)}`;
}

export function withoutScope(address: string): string {
  return address.split('%')[0] ?? '';
}

export function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 0xffff;
}
