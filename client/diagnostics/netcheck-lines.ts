/** What was found out about the network and the way to the edge → one screen of lines in a person's words. Pure. */

import { clockLimitMs } from './doctor-verdict.ts';
import type { EdgeFactsHere, NetFacts, UdpFacts } from './net-facts.ts';

export interface NetLine {
  readonly subject: string;
  readonly verdict: 'good' | 'warning' | 'bad' | 'unknown';
  /** One sentence. */
  readonly text: string;
}

export function netLines(facts: NetFacts): readonly NetLine[] {
  const lines = [network(facts), pages(facts), names(facts)];
  const { edge } = facts;
  if (edge === undefined) return [...lines, line('edge', 'unknown', 'None is known; see: culvert enroll')];
  return [...lines, tunnel(facts), ...edge.udp.map((one) => udp(one)), ...wayLines(edge), size(facts, edge)];
}

function network({ network: isUp, ipv4, ipv6 }: NetFacts): NetLine {
  if (!isUp) return line('network', 'bad', 'There is none.');
  const families = [...(ipv4 ? ['IPv4'] : []), ...(ipv6 ? ['IPv6'] : [])];
  return line('network', 'good', `There is one, with ${families.join(' and ') || 'neither IPv4 nor IPv6'}.`);
}

function pages({ pages: verdict }: NetFacts): NetLine {
  switch (verdict?.kind) {
    case undefined:
      return line('sign-in', 'unknown', 'The network was not asked; see the setting portal.detection.');
    case 'online':
      return line('sign-in', 'good', 'None is wanted; the Internet answers.');
    case 'portal':
      return line('sign-in', 'bad', 'The network wants one: culvert portal open');
    case 'no-internet':
      return line('sign-in', 'warning', 'No page answers, neither of the Internet nor of a sign-in.');
    default:
      return line('sign-in', 'warning', 'Pages are filtered or changed on the way; that is no sign-in.');
  }
}

function names({ dnsIntercepted }: NetFacts): NetLine {
  if (dnsIntercepted === undefined) return line('DNS', 'unknown', 'It could not be asked.');
  return dnsIntercepted
    ? line('DNS', 'warning', 'The network answers in the place of other name servers.')
    : line('DNS', 'good', 'The network leaves questions for other name servers alone.');
}

function tunnel({ tunnel: { state, transport, rttMs } }: NetFacts): NetLine {
  if (state !== 'connected') return line('tunnel', 'unknown', `It is not up (${state}).`);
  const time = rttMs === undefined ? '' : `, ${rounded(rttMs)} ms to the edge and back`;
  return line('tunnel', 'good', `It is up over ${transport ?? 'udp'}${time}.`);
}

function udp({ port, answer, ms }: UdpFacts): NetLine {
  const subject = `UDP ${port}`;
  switch (answer) {
    case 'handshake':
      return line(subject, 'good', `The edge answers after ${rounded(ms ?? 0)} ms.`);
    case 'cookie':
      return line(subject, 'warning', 'The edge answers, and is so busy that it asks us to wait.');
    case 'refused':
      return line(subject, 'bad', 'The machine answers, and nothing listens there.');
    default:
      return line(subject, 'bad', 'Nothing comes back.');
  }
}

function wayLines(edge: EdgeFactsHere): readonly NetLine[] {
  const { lossPercent, uplinkLossPercent, mapping, api } = edge;
  const lines: NetLine[] = [];
  if (lossPercent !== undefined) {
    const verdict = lossPercent >= 20 ? 'warning' : 'good';
    lines.push(line('loss', verdict, `${rounded(lossPercent)} % of what was asked by UDP got no answer.`));
  }
  if (uplinkLossPercent !== undefined && uplinkLossPercent > 0) {
    const text = `Of many datagrams to the edge ${rounded(uplinkLossPercent)} % were lost.`;
    lines.push(line('datagrams', uplinkLossPercent >= 1 ? 'warning' : 'good', text));
  }
  if (mapping !== undefined) {
    const words = {
      none: 'The edge sees the address and port that this machine sends from.',
      stable: 'The network translates them, the same way for every port of the edge.',
      varies: 'The network translates them, another way for every port of the edge.',
    } as const;
    lines.push(line('address', mapping === 'varies' ? 'warning' : 'good', words[mapping]));
  }
  if (api !== undefined) lines.push(https(api), ...clock(api));
  return lines;
}

function https(api: NonNullable<EdgeFactsHere['api']>): NetLine {
  switch (api.answer) {
    case 'answered':
      return line(
        'HTTPS',
        'good',
        `The edge answers${api.ms === undefined ? '' : ` after ${rounded(api.ms)} ms`}.`,
      );
    case 'impostor':
      return line(
        'HTTPS',
        'bad',
        `Somebody else answers in its place${api.issuer === undefined ? '' : ` (${api.issuer})`}.`,
      );
    case 'refused':
      return line(
        'HTTPS',
        'bad',
        `The edge refuses this device${api.problem === undefined ? '' : ` (${api.problem})`}.`,
      );
    default:
      return line('HTTPS', 'bad', 'Nothing comes back.');
  }
}

function clock({ clockAheadMs }: NonNullable<EdgeFactsHere['api']>): readonly NetLine[] {
  if (clockAheadMs === undefined) return [];
  const seconds = Math.round(Math.abs(clockAheadMs) / 1000);
  if (Math.abs(clockAheadMs) < clockLimitMs)
    return [line('clock', 'good', 'It agrees with that of the edge.')];
  const side = clockAheadMs > 0 ? 'ahead of' : 'behind';
  return [line('clock', 'warning', `It is ${seconds} s ${side} that of the edge.`)];
}

function size({ tunnel: { mtuReduced, mtuBroken } }: NetFacts, edge: EdgeFactsHere): NetLine {
  const { largeArrives, pathMtu } = edge;
  if (mtuBroken) return line('packets', 'bad', 'Not even small ones pass reliably.');
  if (pathMtu !== undefined && largeArrives === true)
    return line('packets', 'warning', `Those above ${pathMtu} bytes go to the edge in pieces.`);
  if (mtuReduced !== undefined) return line('packets', 'warning', `Those of up to ${mtuReduced} bytes pass.`);
  if (largeArrives === undefined) return line('packets', 'unknown', 'Their size was not measured.');
  return largeArrives
    ? line('packets', 'good', 'Large ones reach the edge.')
    : line('packets', 'bad', 'Large ones vanish on the way to the edge.');
}

function line(subject: string, verdict: NetLine['verdict'], text: string): NetLine {
  return { subject, verdict, text };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
