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
  'dns-port-open': [
    'notice',
    'Programs that ask a DNS server of their own are not stopped on this machine.',
    'It takes Linux 5.12 and nft 0.9.9 or newer; see culvert logs. To hide this: culvert settings set dns.guardPort53 off',
  ],
  'dns-unfiltered': [
    'warning',
    'The filter for families does not reach a resolver of your own choice.',
    'Go back to 1.1.1.1: culvert dns upstream, without an address',
  ],
  'dns-untrusted': [
    'warning',
    'Somebody answers in the place of a resolver, with a certificate that is not to be trusted; it is not asked.',
    'Try another network. If it is the network of a company, name its certificate in the setting dns.caFile.',
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
  'mtu-reduced': [
    'notice',
    'This network carries only small packets; the tunnel was made narrower, and works.',
    'Nothing has to be done. It is a little slower than it could be.',
  ],
  'mtu-broken': [
    'warning',
    'This network loses packets that everything needs to pass; parts of the Internet may hang.',
    'Try another network.',
  ],
  'address-collision': [
    'warning',
    'Addresses of the tunnel are used by the network around this machine, too.',
    'Leave that network or the other VPN, or give the edge another range: network in edge.yaml.',
  ],
  lockdown: [
    'notice',
    'Lockdown is on: nothing leaves this machine while culvert is off.',
    'Connect, or turn it off: culvert settings set lockdown off',
  ],
  stalled: [
    'warning',
    'The edge stopped answering. Nothing leaves outside the tunnel meanwhile; culvert keeps trying.',
    'Wait a moment. If it lasts, check the network, and whether the edge runs.',
  ],
  'udp-blocked': [
    'notice',
    'This network blocks the fast way to the edge; a slower one is used (TLS).',
    'Nothing to do: culvert goes back by itself where the fast way opens.',
  ],
  'udp-slow': [
    'notice',
    'This network drops much of what passes by the fast way to the edge (UDP); another way is used (TLS).',
    'Nothing to do: culvert tries the fast way again now and then.',
  ],
  'tls-chosen': [
    'notice',
    'The tunnel is inside TLS, as you chose; UDP would be faster.',
    'Leave the choice to culvert: culvert settings set transport auto',
  ],
  portal: [
    'warning',
    'This network wants you to sign in before it lets anything through. Only its sign-in page is open.',
    'Sign in: culvert portal open; if this network has no such page: culvert portal ignore',
  ],
  'tls-intercepted': [
    'warning',
    'Somebody on this network answers in the place of the edge; nothing of yours is shown to them.',
    'Try another network. If it is the network of a company, ask who runs it to let the edge through.',
  ],
  'lan-open': [
    'notice',
    'Devices of the network around you can be reached, and can reach what this machine offers.',
    'Close it: culvert lan block',
  ],
  'split-rules': [
    'notice',
    'Some addresses, names or programs go around the tunnel, as you chose.',
    'See which: culvert tunnel list',
  ],
  'split-include': [
    'notice',
    'Only the addresses and names that you chose go through the tunnel.',
    'See which: culvert tunnel list',
  ],
  'host-fight': [
    'warning',
    'Another program keeps changing the firewall or the routes of culvert; they are made again each time.',
    'Find it (another VPN, a firewall service) and end it, or let only one of them manage this machine.',
  ],
  'edge-newer': [
    'notice',
    'The edge speaks a newer version of the protocol; what is new in it is not used.',
    'Bring this client up to date.',
  ],
  'edge-stopping': [
    'notice',
    'The edge is being restarted by its owner.',
    'Wait: culvert connects again by itself as soon as it is back.',
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
