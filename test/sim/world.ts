/**
 * A deterministic world: tunnel devices under one virtual clock, joined by links with seeded loss,
 * delay, duplication and reordering. Steps to the earliest deadline; nothing ever waits for real.
 */

import { endpointSize } from '../../shared/core/base/endpoint.ts';
import { formatEndpoint, parseEndpoint, readEndpoint, writeEndpoint } from '../../shared/core/base/ip.ts';
import { after, type MonoMs, monoMs, unixMs } from '../../shared/core/base/time.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import type { Limits } from '../../shared/core/session/limits.ts';
import { TunnelDevice } from '../../shared/core/tunnel/device.ts';
import type { TunnelEvent } from '../../shared/core/tunnel/events.ts';
import { seededEntropy, seededRandom } from '../support/seeded.ts';

/** How a link treats datagrams. Probabilities are 0 to 1, times milliseconds. */
export interface Weather {
  loss: number;
  duplicate: number;
  delayMs: number;
  /** Up to this much more, at random: reorders. */
  jitterMs: number;
}

export const fairWeather: Weather = { loss: 0, duplicate: 0, delayMs: 10, jitterMs: 0 };

interface Flight {
  readonly at: number;
  readonly order: number;
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
  readonly tos: number;
}

const arenaBytes = 256 * 1024;
const epoch = 1_700_000_000_000;

/** One host: a device, where it listens, and what came out of its inside. */
export class Host {
  readonly name: string;
  readonly device: TunnelDevice;
  /** 'address:port' that others see as the source of its datagrams. Roaming = changing it. */
  address: string;
  readonly received: Uint8Array[] = [];
  readonly events: TunnelEvent[] = [];
  /** Added to the wall clock. */
  clockErrorMs = 0;
  readonly bytes = new Uint8Array(4 * arenaBytes);
  readonly input: PacketBatch = this.#batch(0);
  readonly toTun = this.#batch(1);
  readonly out = this.#batch(2);

  constructor(name: string, address: string, device: TunnelDevice) {
    this.name = name;
    this.address = address;
    this.device = device;
  }

  #batch(n: number): PacketBatch {
    return new PacketBatch({
      bytes: this.bytes,
      arenaStart: n * arenaBytes,
      arenaEnd: (n + 1) * arenaBytes,
      capacity: 512,
      addressCapacity: 512,
    });
  }
}

export class World {
  readonly hosts = new Map<string, Host>();
  readonly weather: Weather;
  /** Every datagram that was sent, oldest first, for traces and eavesdropping. */
  readonly wire: { at: number; from: string; to: string; bytes: Uint8Array; tos: number }[] = [];
  /** Links mark every capable datagram as having met congestion. */
  markCongestion = false;
  now: MonoMs = monoMs(1000);
  readonly #random: () => number;
  readonly #seed: number;
  #flights: Flight[] = [];
  #order = 0;

  constructor(seed: number, weather: Weather = fairWeather) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    this.weather = { ...weather };
  }

  /** Adds a host whose device has no configuration yet. */
  addHost(name: string, address: string, limits: Partial<Limits> = {}, firstCounter = 0): Host {
    const entropy = seededEntropy(this.#seed * 7919 + this.hosts.size + 1);
    const device = new TunnelDevice({ suite: portableSuite, entropy, mtu: 1420, limits, firstCounter });
    const host = new Host(name, address, device);
    this.hosts.set(name, host);
    return host;
  }

  /** Gives plain packets to a host's inside. */
  send(host: Host, ...packets: readonly Uint8Array[]): void {
    this.#tick(host);
    host.input.clear();
    for (const packet of packets) {
      const offset = host.input.reserve(packet.length);
      host.bytes.set(packet, offset);
      host.input.push(offset, packet.length);
    }
    host.device.handleTun(host.input, this.now, host.toTun, host.out);
    this.#flush(host);
  }

  /** Gives raw datagrams to a host's outside, as if they came from `from`. */
  deliver(host: Host, from: string, ...datagrams: readonly Uint8Array[]): void {
    for (const bytes of datagrams)
      this.#receive(host, { at: this.now, order: 0, from, to: host.address, bytes, tos: 0 });
  }

  /** Gives the same datagram to a host's outside many times in one batch, each from its own address. */
  flood(host: Host, datagram: Uint8Array, sources: readonly string[]): void {
    this.#tick(host);
    host.input.clear();
    const record = new Uint8Array(endpointSize);
    for (const source of sources) {
      const offset = host.input.reserve(datagram.length);
      host.bytes.set(datagram, offset);
      writeEndpoint(record, 0, endpointOf(source));
      host.input.push(offset, datagram.length, host.input.addAddress(record, 0));
    }
    host.device.handleUdp(host.input, this.now, host.toTun, host.out);
    this.#flush(host);
  }

  /** Runs what is due at once, then moves the clock from deadline to deadline for `durationMs`. */
  run(durationMs: number): void {
    const end = after(this.now, durationMs);
    for (let steps = 0; steps < 1_000_000; steps++) {
      let next = Number.POSITIVE_INFINITY;
      for (const flight of this.#flights) next = Math.min(next, flight.at);
      for (const host of this.hosts.values()) next = Math.min(next, host.device.nextTimeoutAt());
      if (next > end) {
        this.now = end;
        return;
      }
      this.now = monoMs(Math.max(this.now, next));
      this.#step();
    }
    throw new Error('the world never comes to rest');
  }

  #step(): void {
    const due = this.#flights.filter((flight) => flight.at <= this.now);
    this.#flights = this.#flights.filter((flight) => flight.at > this.now);
    due.sort((a, b) => a.at - b.at || a.order - b.order);
    for (const flight of due) {
      for (const host of this.hosts.values()) {
        if (host.address === flight.to) this.#receive(host, flight);
      }
    }
    for (const host of this.hosts.values()) {
      if (host.device.nextTimeoutAt() > this.now) continue;
      this.#tick(host);
      host.device.handleTimeout(this.now, host.out);
      this.#flush(host);
    }
  }

  #receive(host: Host, flight: Flight): void {
    this.#tick(host);
    host.input.clear();
    const offset = host.input.reserve(flight.bytes.length);
    host.bytes.set(flight.bytes, offset);
    const record = new Uint8Array(endpointSize);
    writeEndpoint(record, 0, endpointOf(flight.from));
    host.input.push(offset, flight.bytes.length, host.input.addAddress(record, 0), flight.tos);
    host.device.handleUdp(host.input, this.now, host.toTun, host.out);
    this.#flush(host);
  }

  #tick(host: Host): void {
    host.device.setWallClock(this.now, unixMs(epoch + this.now + host.clockErrorMs));
  }

  #flush(host: Host): void {
    const { out, toTun, bytes } = host;
    for (let i = 0; i < out.count; i++) {
      const to = readEndpoint(out.addresses, out.address[i]! * endpointSize);
      if (to === undefined) throw new Error('a datagram without an address');
      const datagram = bytes.slice(out.offset[i]!, out.offset[i]! + out.length[i]!);
      this.#launch(host.address, formatEndpoint(to), datagram, out.tos[i]!);
    }
    for (let i = 0; i < toTun.count; i++) {
      host.received.push(bytes.slice(toTun.offset[i]!, toTun.offset[i]! + toTun.length[i]!));
    }
    out.clear();
    toTun.clear();
    host.events.push(...host.device.takeEvents());
  }

  #launch(from: string, to: string, bytes: Uint8Array, tos: number): void {
    this.wire.push({ at: this.now, from, to, bytes, tos });
    const copies = this.#random() < this.weather.duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.#random() < this.weather.loss) continue;
      const at = this.now + this.weather.delayMs + Math.floor(this.#random() * this.weather.jitterMs);
      const marked = this.markCongestion && (tos & 3) !== 0 ? tos | 3 : tos;
      this.#flights.push({ at, order: this.#order++, from, to, bytes, tos: marked });
    }
  }
}

/** '10.0.0.1:51820' as an endpoint. */
export function endpointOf(text: string): { address: string; port: number } {
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined) throw new Error(`not an endpoint: ${text}`);
  return endpoint;
}

/** Joins two hosts: keys, allowed IPs ('10.0.0.N/32' and 'fd00::N/128' for host number N), endpoints. */
export function introduce(world: World, a: Host, b: Host, options: JoinOptions): void {
  for (const [self, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const me = self === a ? options.a : options.b;
    const you = self === a ? options.b : options.a;
    self.device.configure(
      {
        privateKey: me.secretKey,
        peers: [
          {
            publicKey: portableSuite.publicKey(you.secretKey),
            allowedIps: [`10.0.0.${you.number}/32`, `fd00::${you.number}/128`],
            ...(options.presharedKey === undefined ? {} : { presharedKey: options.presharedKey }),
            ...(you.known ? { endpoint: endpointOf(other.address) } : {}),
            ...(me.keepalive === undefined ? {} : { persistentKeepalive: me.keepalive }),
          },
        ],
      },
      world.now,
    );
  }
}

export interface Side {
  readonly number: number;
  readonly secretKey: Uint8Array;
  /** The other side knows where this one is. */
  readonly known: boolean;
  /** Persistent keepalive of this side, seconds. */
  readonly keepalive?: number;
}

export interface JoinOptions {
  readonly a: Side;
  readonly b: Side;
  readonly presharedKey?: Uint8Array;
}

/** An IPv4 or IPv6 packet of protocol 253 (experiments) from host `from` to host `to` with this text inside. */
export function packet(version: 4 | 6, from: number, to: number, text: string): Uint8Array {
  const payload = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const header = version === 4 ? 20 : 40;
  const bytes = new Uint8Array(header + payload.length);
  if (version === 4) {
    bytes.set([
      0x45,
      0,
      bytes.length >> 8,
      bytes.length & 255,
      0,
      0,
      0x40,
      0,
      64,
      253,
      0,
      0,
      10,
      0,
      0,
      from,
      10,
      0,
      0,
      to,
    ]);
    let sum = 0;
    for (let i = 0; i < 20; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    bytes[10] = (~sum >> 8) & 255;
    bytes[11] = ~sum & 255;
  } else {
    bytes.set([0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, 253, 64]);
    bytes.set([0xfd, 0], 8);
    bytes[23] = from;
    bytes.set([0xfd, 0], 24);
    bytes[39] = to;
  }
  bytes.set(payload, header);
  return bytes;
}

/** The text inside a packet made by `packet`. */
export function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(bytes[0]! >> 4 === 4 ? 20 : 40));
}
