/**
 * The registry of problems that a person can see in `status`: code, severity, words, remedy. Only
 * what a person can act on or must know. Errors of the connection come in under their error code.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from './shape.ts';

/** 'notice' is good to know, 'warning' works but not well, 'error' does not work. */
export type Severity = 'notice' | 'warning' | 'error';

export interface HealthItem {
  readonly code: string;
  readonly severity: Severity;
  readonly text: string;
  readonly remedy: string;
}

export const healthItemShape: Shape<HealthItem> = shapeOf<HealthItem>(
  Type.Object({
    code: Type.String(),
    severity: Type.Union([Type.Literal('notice'), Type.Literal('warning'), Type.Literal('error')]),
    text: Type.String(),
    remedy: Type.String(),
  }),
);

/** code → [severity, what is the matter, what to do]. */
export const healthCodes = {
  'dns-not-managed': [
    'notice',
    'Names are still looked up with the DNS servers that this system uses.',
    'Name DNS servers in the file of the edge, or use mode tunnel+doh; tunnel_only hides this notice.',
  ],
  'dns-not-taken': [
    'notice',
    'Private DNS answers, but this system does not ask it.',
    'Run the daemon as root, or set the DNS server of your programs to the address above.',
  ],
  'dns-lost': [
    'warning',
    'Another program keeps taking the DNS of this system back.',
    'End that program, or choose another way: culvert settings set dns.system resolved|resolvconf|file',
  ],
  'dns-unfiltered': [
    'warning',
    'The filter for families does not reach a resolver of your own choice.',
    'Go back to 1.1.1.1: culvert dns upstream, without an address',
  ],
  'dns-unanswered': [
    'error',
    'No resolver answers. Names fail until one does; nothing is asked in the clear.',
    'Check the network; it may block port 443 or 853. See: culvert dns stats',
  ],
  'split-tunnel': [
    'notice',
    'Only the addresses in AllowedIPs go through the tunnel; everything else leaves this machine as before.',
    'For everything, set AllowedIPs to 0.0.0.0/0, ::/0 in the file and import it again.',
  ],
  'split-proxy': [
    'notice',
    'Only the addresses in AllowedIPs can be reached through the proxy; it refuses everything else.',
    'For everything, set AllowedIPs to 0.0.0.0/0, ::/0 in the file and import it again.',
  ],
  'handshake-timeout': [
    'warning',
    'The edge does not answer. culvert keeps trying.',
    'Check its address, its UDP port and the keys.',
  ],
  'no-reply': [
    'warning',
    'The edge answered the handshake, but nothing came back through the tunnel yet.',
    'Check AllowedIPs and forwarding at the edge.',
  ],
  'cannot-block': [
    'error',
    'The firewall could not be set: traffic may leave outside the tunnel.',
    'See culvert logs; check that nft works.',
  ],
} as const;

export type HealthCode = keyof typeof healthCodes;

/** The item of a registered problem. */
export function healthItem(code: HealthCode): HealthItem {
  const [severity, text, remedy] = healthCodes[code];
  return { code, severity, text, remedy };
}
