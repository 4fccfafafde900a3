/**
 * What of the firewall belongs to a network with a sign-in: our own questions whether it wants one, and, once it does,
 * its name servers and the sign-in's own addresses for every program. Pure; a part of ruleset.ts.
 */

import type { FirewallPolicy } from './policy.ts';
import { daddr, hex, isPort } from './words.ts';

const dnsPort = 53;

/** Lines of the chain `output`. */
export function portalRules(policy: FirewallPolicy): readonly string[] {
  return [...lookoutRules(policy), ...wayRules(policy)];
}

/** Everything in those lines that somebody else chose. */
export function wordsOfPortal({ way, lookout }: FirewallPolicy): readonly string[] {
  const open = way === undefined ? [] : [...way.servers, ...way.addresses.map(({ address }) => address)];
  return [...open, ...(lookout?.servers ?? [])];
}

function lookoutRules({ kind, lookout, mark }: FirewallPolicy): readonly string[] {
  if (lookout === undefined || (kind !== 'connecting' && kind !== 'portal')) return [];
  const own = `  meta mark ${hex(mark)}`;
  const ports = [...new Set(lookout.ports)].filter(isPort);
  return [
    ...lookout.servers.map((address) => `${own} ${daddr(address)} udp dport ${dnsPort} accept`),
    ...(ports.length === 0 ? [] : [`${own} tcp dport { ${ports.join(', ')} } accept`]),
  ];
}

function wayRules({ kind, way }: FirewallPolicy): readonly string[] {
  if (kind !== 'portal' || way === undefined) return [];
  return [
    ...way.servers.flatMap((address) => [
      `  ${daddr(address)} udp dport ${dnsPort} accept`,
      `  ${daddr(address)} tcp dport ${dnsPort} accept`,
    ]),
    ...way.addresses
      .filter(({ port }) => isPort(port))
      .map(({ address, port }) => `  ${daddr(address)} tcp dport ${port} accept`),
  ];
}
