/**
 * Connections that the kernel keeps for a path and that nobody has answered: where the path is dead they are forgotten,
 * so that the next packet of theirs, a repeated first one, is judged anew and leaves by a path that works. Flows that
 * were ever answered stay as they are. Pure: the list as the kernel prints it, and messages of its netlink protocol
 * (linux/netfilter/nfnetlink_conntrack.h).
 */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { slotOfMark } from './kernel-marks.ts';

/** As the device began it. */
export interface UnansweredFlow {
  /** Number of the protocol: TCP or UDP. */
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** Most that are forgotten at once; those beyond wait until they end by themselves. */
const maxFlows = 1024;

/** Of /proc/net/nf_conntrack. */
export function unansweredFlows(
  list: string,
  slot: number,
  isTo: (destination: Uint8Array) => boolean = () => true,
): readonly UnansweredFlow[] {
  const flows: UnansweredFlow[] = [];
  for (const line of list.split('\n')) {
    const flow = flowOf(line, slot);
    if (flow !== undefined && isTo(flow.destination)) flows.push(flow);
    if (flows.length === maxFlows) break;
  }
  return flows;
}

function flowOf(line: string, slot: number): UnansweredFlow | undefined {
  if (!line.includes('[UNREPLIED]')) return undefined;
  if (slotOfMark(Number(/ mark=(\d+)/.exec(line)?.[1] ?? 0)) !== slot) return undefined;
  const found =
    / (tcp|udp) +(6|17) .*? src=([\da-f.:]+) dst=([\da-f.:]+) sport=(\d+) dport=(\d+) \[UNREPLIED\]/.exec(
      line,
    );
  if (found === null) return undefined;
  const [, , protocol, from = '', to = '', sourcePort, destinationPort] = found;
  const [source, destination] = [parseAddress(from), parseAddress(to)];
  if (source === undefined || destination === undefined) return undefined;
  return {
    protocol: Number(protocol),
    source,
    destination,
    sourcePort: Number(sourcePort),
    destinationPort: Number(destinationPort),
  };
}

/** NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE. */
const deleteType = (1 << 8) | 2;
const flagRequest = 1;
const [familyFour, familySix] = [2, 10];
const nested = 0x8000;
/** CTA_TUPLE_ORIG, and what lies in it. */
const tupleOriginal = 1;
const [tupleIp, tupleProtocol] = [1, 2];
const [protocolNumber, protocolSource, protocolDestination] = [1, 2, 3];

/** The message that makes the kernel forget it. */
export function deleteRequest(flow: UnansweredFlow): Uint8Array {
  const { source, destination, protocol, sourcePort, destinationPort } = flow;
  const isFour = source.length === 4;
  const [sourceType, destinationType] = isFour ? [1, 2] : [3, 4];
  const addresses = [attribute(sourceType, source), attribute(destinationType, destination)];
  const ports = [
    attribute(protocolNumber, Uint8Array.of(protocol)),
    attribute(protocolSource, bigEndian(sourcePort)),
    attribute(protocolDestination, bigEndian(destinationPort)),
  ];
  const tuple = attribute(
    tupleOriginal | nested,
    joined([
      attribute(tupleIp | nested, joined(addresses)),
      attribute(tupleProtocol | nested, joined(ports)),
    ]),
  );
  // nlmsghdr, then nfgenmsg: family, version, resource.
  const head = new Uint8Array(20);
  const view = new DataView(head.buffer);
  view.setUint32(0, head.length + tuple.length, true);
  view.setUint16(4, deleteType, true);
  view.setUint16(6, flagRequest, true);
  head[16] = isFour ? familyFour : familySix;
  return joined([head, tuple]);
}

/** Length and type, the value, and zeros up to a multiple of four. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

function bigEndian(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
