/**
 * From device to device without leaving the tunnel, for an edge whose packets end in its own stack: which packets go back
 * into the tunnel as they are. An opening lets a device begin; the other may answer what was begun, for as long as the
 * opening is there and a firewall would remember it. Pure, told the time. Bounded; knows addresses no longer than their flows.
 */

import { type Prefix, prefixContains } from '../../shared/core/base/ip.ts';
import { type MonoMs, minuteMs } from '../../shared/core/base/time.ts';
import {
  findTransport,
  ipDestinationOffset,
  ipSourceOffset,
  ipTotalLength,
  ipVersion,
} from '../../shared/core/packet/ip.ts';
import {
  protocolFragment,
  protocolIcmp,
  protocolIcmp6,
  protocolTcp,
  protocolUdp,
  transportAt,
  transportProtocol,
} from '../../shared/core/packet/transport.ts';
import type { DevicePair, Opening } from '../config-egress.ts';
import { gatewayOf, isInside } from '../network.ts';
import { addressKey } from './address-key.ts';
import { type DeviceDelta, type DeviceEntry, DeviceMap } from './devices.ts';
import { RecentMap } from './recent-map.ts';

export interface TurnPlan {
  /** Of the tunnel. */
  readonly network: readonly Prefix[];
  readonly allow: readonly Opening[];
  readonly pairs: readonly DevicePair[];
  readonly devices: readonly DeviceEntry[];
}

/** RFC 5382 and RFC 4787: how long a flow without packets is remembered. */
const tcpLifeMs = 124 * minuteMs;
const otherLifeMs = 5 * minuteMs;
const maxFlows = 32_768;

/** ICMP types that would tell a device where to send: from no other device. */
const routingTypes: readonly number[] = [5, 9, 10];
const routingTypes6: readonly number[] = [133, 134, 135, 136, 137];
/** Errors, which speak of a packet of the other side. */
const errorTypes: readonly number[] = [3, 11, 12];
const errorTypes6: readonly number[] = [1, 2, 3, 4];
const echoTypes: readonly number[] = [8, 0, 128, 129];
const icmpHeader = 8;

export class DeviceTurn {
  #openings: readonly Opening[] = [];
  #pairs: readonly DevicePair[] = [];
  #network: readonly Prefix[] = [];
  #gateways: ReadonlySet<string> = new Set();
  #devices: DeviceMap = new DeviceMap([]);
  /** By what an answer looks like, until when it may come. */
  #flows: RecentMap<MonoMs> = new RecentMap(maxFlows);

  constructor(plan: TurnPlan) {
    this.reload(plan);
  }

  /** What is allowed still is remembered again with its next packet. */
  reload(plan: TurnPlan): void {
    this.#network = plan.network;
    this.#openings = plan.allow.filter(({ cidr }) => plan.network.some((one) => isInside(cidr, one)));
    this.#gateways = new Set(plan.network.map((prefix) => addressKey(gatewayOf(prefix))));
    this.#pairs = plan.pairs;
    this.#devices = new DeviceMap(this.#opensNothing ? [] : plan.devices);
    this.#flows = new RecentMap(maxFlows);
  }

  /** Devices came or went. What is remembered of those that went lets nobody in: their address rests for a day. */
  follow(delta: DeviceDelta): void {
    if (!this.#opensNothing) this.#devices.follow(delta);
  }

  /** Whether the packet, whose source the tunnel has checked, is for a device that it may reach. */
  judge(bytes: Uint8Array, offset: number, length: number, now: MonoMs): boolean {
    if (this.#opensNothing || ipVersion(bytes, offset, length) === 0) return false;
    const to = addressAt(bytes, ipDestinationOffset(bytes, offset), offset);
    if (!this.#network.some((one) => prefixContains(one, to)) || this.#gateways.has(addressKey(to)))
      return false;
    const from = addressAt(bytes, ipSourceOffset(bytes, offset), offset);
    const [asker, asked] = [this.#devices.find(from), this.#devices.find(to)];
    if (asker === undefined || asked === undefined || asked.key === asker.key) return false;
    const found = findTransport(bytes, offset);
    if (found < 0) return false;
    const packet: Packet = {
      bytes,
      from: addressKey(from),
      to: addressKey(to),
      protocol: transportProtocol(found),
      at: offset + transportAt(found),
      end: offset + ipTotalLength(bytes, offset),
    };
    if (tellsRoutes(packet)) return false;
    const mayBegin = this.#opens(asker, asked, to);
    if (mayBegin) this.#remember(packet, now);
    return mayBegin || (this.#opens(asked, asker, from) && this.#isAnswer(packet, now));
  }

  get #opensNothing(): boolean {
    return this.#openings.length + this.#pairs.length === 0;
  }

  /** `at`: the address of the one that is asked. */
  #opens(asker: DeviceEntry, asked: DeviceEntry, at: Uint8Array): boolean {
    const isFor = ({ device }: Pick<Opening, 'device'>): boolean =>
      device === undefined || device === asker.name;
    return (
      this.#openings.some((one) => isFor(one) && prefixContains(one.cidr, at)) ||
      this.#pairs.some((pair) => isFor(pair) && pair.to === asked.name)
    );
  }

  #remember(packet: Packet, now: MonoMs): void {
    const lifeMs = packet.protocol === protocolTcp ? tcpLifeMs : otherLifeMs;
    const until = (now + lifeMs) as MonoMs;
    const [here, there] = endsOf(packet);
    this.#flows.set(keyOf(packet.protocol, [packet.to, there], [packet.from, here]), until);
    this.#flows.set(pairKey(packet.to, packet.from), until);
  }

  #isAnswer(packet: Packet, now: MonoMs): boolean {
    const isKnown = (key: string): boolean => (this.#flows.peek(key) ?? Number.NEGATIVE_INFINITY) > now;
    // A later fragment has no ports; without its first one it is nothing.
    if (packet.protocol === protocolFragment) return isKnown(pairKey(packet.from, packet.to));
    if (isError(packet)) return isKnown(pairKey(packet.from, packet.to)) && isKnown(aboutKey(packet));
    const [here, there] = endsOf(packet);
    return isKnown(keyOf(packet.protocol, [packet.from, here], [packet.to, there]));
  }
}

/** The part of a packet that decides. */
interface Packet {
  readonly bytes: Uint8Array;
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  /** The transport header, and the end of the packet, from the start of `bytes`. */
  readonly at: number;
  readonly end: number;
}

function addressAt(bytes: Uint8Array, at: number, offset: number): Uint8Array {
  return bytes.slice(at, at + ((bytes[offset] ?? 0) >>> 4 === 4 ? 4 : 16));
}

/** Ports of both sides; of an echo its identifier, twice; of the rest nothing. */
function endsOf({ bytes, protocol, at, end }: Packet): readonly [here: number, there: number] {
  if (at + 4 > end) return [0, 0];
  if (protocol === protocolTcp || protocol === protocolUdp) return [pair(bytes, at), pair(bytes, at + 2)];
  const isEcho =
    (protocol === protocolIcmp || protocol === protocolIcmp6) && echoTypes.includes(bytes[at] ?? 0);
  if (!isEcho || at + icmpHeader > end) return [0, 0];
  return [pair(bytes, at + 4), pair(bytes, at + 4)];
}

function tellsRoutes({ bytes, protocol, at }: Packet): boolean {
  const type = bytes[at] ?? 0;
  if (protocol === protocolIcmp) return routingTypes.includes(type);
  return protocol === protocolIcmp6 && routingTypes6.includes(type);
}

function isError({ bytes, protocol, at }: Packet): boolean {
  const type = bytes[at] ?? 0;
  if (protocol === protocolIcmp) return errorTypes.includes(type);
  return protocol === protocolIcmp6 && errorTypes6.includes(type);
}

/** What an answer to the packet that an error speaks of would look like. That one may be cut short. */
function aboutKey({ bytes, at, end, from, to }: Packet): string {
  const start = at + icmpHeader;
  const v4 = (bytes[start] ?? 0) >>> 4 === 4;
  const protocol = bytes[start + (v4 ? 9 : 6)] ?? 0;
  const inner = {
    bytes,
    protocol,
    at: start + (v4 ? ((bytes[start] ?? 0) & 15) * 4 : 40),
    end,
    from: to,
    to: from,
  };
  const [here, there] = endsOf(inner);
  return keyOf(protocol, [from, there], [to, here]);
}

type End = readonly [address: string, port: number];

function keyOf(protocol: number, from: End, to: End): string {
  return `${protocol} ${from.join(' ')} ${to.join(' ')}`;
}

function pairKey(from: string, to: string): string {
  return `${from} ${to}`;
}

function pair(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
