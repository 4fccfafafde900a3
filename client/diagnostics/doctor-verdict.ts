/**
 * What both ends found → one fault, by name, with one sentence and one fix. Pure; its table test is the specification. The
 * first that fits from top to bottom: what explains more comes first.
 */

import type { ApiFacts, EdgeFactsHere, NetFacts } from './net-facts.ts';

/** code → [what is the matter, what to do]. The codes are stable: programs may go by them. */
export const faults = {
  healthy: ['Everything works.', 'Nothing has to be done.'],
  'no-network': ['This machine has no network.', 'Join one; culvert goes on by itself.'],
  portal: [
    'This network wants you to sign in before it lets anything through.',
    'Sign in: culvert portal open',
  ],
  'no-internet': [
    'This network does not lead to the Internet: nothing that was asked came back.',
    'Restart the router, or try another network.',
  ],
  'no-edge': ['No edge is known yet.', 'Join one: culvert enroll LINK; or: culvert import FILE.conf'],
  'edge-name-unknown': [
    'The name of the edge cannot be looked up here.',
    'Check the DNS record of the edge, or whether this network lets names through.',
  ],
  'key-revoked': [
    'The edge does not know this device any more: it was removed there.',
    'Ask whoever runs the edge for a new invitation, then: culvert enroll LINK',
  ],
  'device-disabled': [
    'The edge has disabled this device.',
    'Ask whoever runs the edge to run: culvert-edge device enable DEVICE',
  ],
  'device-expired': ['The time of this device at the edge is over.', 'Ask whoever runs the edge for more.'],
  'quota-used': [
    'This device has moved all that its quota allows.',
    'Ask whoever runs the edge to run: culvert-edge device quota DEVICE',
  ],
  'tls-intercepted': [
    'Somebody on this network answers in the place of the edge.',
    'Try another network; the network of a company has to let the edge through.',
  ],
  'wrong-edge-key': [
    'The edge has another key than the one that this machine knows.',
    'Enrol again with a new invitation: culvert enroll LINK',
  ],
  'wrong-device-key': [
    'The edge knows another key of this device than the one that it uses.',
    'Make a new one: culvert registration rotate-keys',
  ],
  'clock-off': [
    'The clock of this machine is wrong: certificates look invalid, and the edge may take handshakes for old ones.',
    'Set the clock (timedatectl set-ntp true), then: culvert reconnect',
  ],
  'replies-lost': [
    'What this machine sends reaches the edge, but the replies of the edge do not come back.',
    'Check the firewall of the edge for outgoing UDP; else this network drops them: try another port or network.',
  ],
  'edge-port-closed': [
    'The machine of the edge answers, but nothing listens on its UDP port.',
    'At the edge: culvert-edge doctor',
  ],
  'udp-blocked': [
    'This network lets no UDP out to the edge; others reach it by UDP now.',
    'Use TLS instead: culvert settings set transport auto',
  ],
  'edge-firewall': [
    'The edge answers by HTTPS, but no UDP reaches it, and none of anybody has lately.',
    'Open the UDP ports of the edge in its firewall and in that of its provider; see: culvert-edge doctor',
  ],
  'edge-down': [
    'The Internet is there, but the edge answers by no way.',
    'Check that its machine and culvert-edge run, and that its address is still the same.',
  ],
  'edge-silent': [
    'The edge does not answer, and nothing can be asked about it.',
    'Check its address, its UDP port and the keys in its file.',
  ],
  'large-packets-vanish': [
    'Small packets pass and large ones vanish on the way to the edge.',
    'Make them smaller: culvert settings set tunnel.mtu 1280, then: culvert reconnect',
  ],
  'udp-throttled': [
    'This network slows UDP down.',
    'Nothing has to be done: the tunnel goes inside TLS, which is faster here.',
  ],
  'packets-lost': [
    'This network loses packets on the way to the edge.',
    'Go nearer to the Wi-Fi, or use a cable; where that does not help, try another network.',
  ],
  'narrow-path': [
    'The way to the edge takes smaller packets than the tunnel makes.',
    'It works, in pieces. Make them smaller: culvert settings set tunnel.mtu 1280, then: culvert reconnect',
  ],
  'protection-stopped': [
    'The way to the edge is fine, but culvert stopped with an error and keeps this machine closed.',
    'See why: culvert status; try again: culvert connect; or open the machine: culvert disconnect',
  ],
  'port-rewritten': [
    'This network keeps changing the port that this machine sends from.',
    'It works, with pauses. Another network is better; or use TLS: culvert settings set transport tls',
  ],
  'dns-tampered': [
    'This network answers questions that were meant for other name servers.',
    'Keep culvert on here: private names are not touched by it.',
  ],
  'udp-port-blocked': [
    'Some UDP ports of the edge are blocked on the way; another one works.',
    'Nothing has to be done: culvert takes the one that works.',
  ],
} as const;

export type FaultCode = keyof typeof faults;

/** A clock that far off may keep handshakes from being taken. */
export const clockLimitMs = 60_000;
/** A working tunnel does not need it, but so far off what is in it fails. */
const clockHarmsMs = 3_600_000;
/** Within five minutes. */
const manyMoves = 4;
const initiationBytes = 148;
const lossyPercent = 1;
/** Of IPv4 around the tunnel's largest datagram with an MTU of 1420. */
const usualPacketBytes = 1480;

export function judgeFault(facts: NetFacts): FaultCode {
  const { edge, pages } = facts;
  if (!facts.network) return 'no-network';
  if (pages?.kind === 'portal') return 'portal';
  if (edge === undefined) return pages?.kind === 'no-internet' ? 'no-internet' : 'no-edge';
  const isStopped = facts.tunnel.state === 'blocked';
  const way = refusalOf(edge.api) ?? wayOf(facts, edge);
  return way ?? (isStopped ? 'protection-stopped' : (qualityOf(facts, edge) ?? 'healthy'));
}

/** The edge answered by its API, and says itself what is wrong. */
function refusalOf(api: ApiFacts | undefined): FaultCode | undefined {
  switch (api?.problem) {
    case 'unauthorized':
      return 'key-revoked';
    case 'device-disabled':
      return api.after?.spent === true ? 'quota-used' : 'device-disabled';
    case 'device-expired':
      return 'device-expired';
    default:
      break;
  }
  const seen = api?.after ?? api?.before;
  if (api === undefined || seen === undefined) return undefined;
  if (seen.spent) return 'quota-used';
  if (seen.edgeKey !== api.edgeKey) return 'wrong-edge-key';
  return seen.publicKey === api.ownKey ? undefined : 'wrong-device-key';
}

/** Whether datagrams get there and back. */
function wayOf(facts: NetFacts, edge: EdgeFactsHere): FaultCode | undefined {
  const { pages } = facts;
  if (edge.udp.some(({ answer }) => answer === 'handshake' || answer === 'cookie')) return undefined;
  const isCarried = facts.tunnel.state === 'connected';
  const isMisled = facts.dnsIntercepted === true && edge.byName === true && edge.isProven !== true;
  if (isMisled && edge.api?.answer !== 'answered') return 'dns-tampered';
  if (edge.address === undefined && !isCarried) {
    return pages?.kind === 'no-internet' ? 'no-internet' : 'edge-name-unknown';
  }
  const { api } = edge;
  if (api?.answer === 'answered') return lostOf(edge, api, isCarried);
  if (isCarried) return undefined;
  if (api?.answer === 'impostor') return 'tls-intercepted';
  if (edge.udp.some(({ answer }) => answer === 'refused')) return 'edge-port-closed';
  if (pages?.kind === 'no-internet') return 'no-internet';
  return pages?.kind === 'online' ? 'edge-down' : 'edge-silent';
}

/** The edge can be asked, and UDP gets no answer: what did it see of it? */
function lostOf(
  { udp }: EdgeFactsHere,
  { before, after, clockAheadMs = 0 }: ApiFacts,
  isCarried: boolean,
): FaultCode | undefined {
  if (udp.length === 0) return undefined;
  const grown = (reason: string): boolean => (after?.refused[reason] ?? 0) > (before?.refused[reason] ?? 0);
  if (grown('stale-timestamp') || (grown('bad-handshake') && Math.abs(clockAheadMs) > clockLimitMs)) {
    return 'clock-off';
  }
  if (grown('bad-mac1')) return 'wrong-edge-key';
  if (grown('unknown-peer') || grown('bad-handshake')) return 'wrong-device-key';
  const received = (after?.tunnel?.rxBytes ?? 0) - (before?.tunnel?.rxBytes ?? 0);
  // What the tunnel carries by another way counts as well; only a handshake of ours by UDP moves this device.
  const isMoved = (after?.tunnel?.moves ?? 0) > (before?.tunnel?.moves ?? 0);
  if (isCarried ? isMoved : received >= initiationBytes) return 'replies-lost';
  if (udp.some(({ answer }) => answer === 'refused')) return 'edge-port-closed';
  return after?.othersHeard === true ? 'udp-blocked' : 'edge-firewall';
}

/** It works, and could be better. */
function qualityOf({ tunnel, dnsIntercepted }: NetFacts, edge: EdgeFactsHere): FaultCode | undefined {
  if (Math.abs(edge.api?.clockAheadMs ?? 0) > clockHarmsMs) return 'clock-off';
  if (tunnel.mtuBroken || edge.largeArrives === false) return 'large-packets-vanish';
  if (tunnel.udpFault === 'slow') return 'udp-throttled';
  if (edge.mappingHolds === false || (edge.moves ?? 0) >= manyMoves) return 'port-rewritten';
  if (dnsIntercepted === true) return 'dns-tampered';
  if ((edge.uplinkLossPercent ?? 0) >= lossyPercent) return 'packets-lost';
  if (edge.pathMtu !== undefined && edge.pathMtu < usualPacketBytes) return 'narrow-path';
  return edge.udp.some(({ answer }) => answer === 'silent') ? 'udp-port-blocked' : undefined;
}
