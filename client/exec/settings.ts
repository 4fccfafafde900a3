/**
 * What the processes of one `culvert exec` tell each other: the command line → the program inside the new
 * network, and → the process that carries its traffic. Types and fixed addresses only.
 */

import type { OffloadLevel } from '../../shared/node/tun/tun-linux-device.ts';

/** Where the local proxy listens, and how to log in where it asks for it. */
export interface ProxyDoor {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
}

/** For the network process; the first message it gets. Travels by socket: it may hold a password. */
export interface CarrierSettings {
  readonly proxy: ProxyDoor;
  /** Resolvers inside the tunnel, best first: numeric, or a name that the far end knows. */
  readonly resolvers: readonly string[];
  readonly mtu: number;
  /** The process that becomes the command. */
  readonly pid: number;
}

/** For the program inside; a word of its command line, so nothing in it is secret. */
export interface InsideSettings {
  /** Number of the inherited socket to the network process. */
  readonly socket: number;
  readonly mtu: number;
  /** Of the interface, without prefix length. At least one of IPv4, for the resolver's sake. */
  readonly addresses: readonly string[];
  /** Where the proxy is for other programs: there, too, for those that are set to use it. */
  readonly proxyPort: number;
  /** Whether a user namespace was made too, whose rights must be given up. */
  readonly ownUser: boolean;
}

/** What comes with two descriptors: the interface, and a listening socket on the proxy's port. */
export interface InterfaceFacts {
  readonly offload: OffloadLevel;
  /** As /proc/PID/ns/net names it. */
  readonly netns: string;
}

/** What the network process answers. */
export type CarrierAnswer = { readonly ready: true } | { readonly ready: false; readonly text: string };

/** Largest of these messages. */
export const maxMessageBytes = 16_384;

/**
 * The resolver and, where the tunnel has no IPv4, the program itself: addresses that mean nothing outside
 * one machine (RFC 7335).
 */
export const resolverAddress = '192.0.0.1';
export const spareAddress = '192.0.0.2';
export const insideInterface = 'culvert0';
export const dnsPort = 53;
