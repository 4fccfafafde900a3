/**
 * A hub and its clients, all of them tunnel devices in one memory: packets go out through the hub and come
 * back, many peers interleaved in one batch. Makes no objects once it runs, so that allocations of the
 * devices can be counted.
 */

import { endpointSize } from '../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../shared/core/base/ip.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { type MonoMs, monoMs, unixMs } from '../../shared/core/base/time.ts';
import type { CryptoSuite } from '../../shared/core/crypto/suite.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { TunnelDevice } from '../../shared/core/tunnel/device.ts';
import { seededEntropy } from './seeded.ts';

export interface StarOptions {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  readonly memory: { readonly bytes: Uint8Array; alloc(size: number, align?: number): number };
  readonly clients: number;
  /** Packets of one batch. */
  readonly batch: number;
  /** Bytes of one plain packet. */
  readonly packetBytes: number;
}

interface End {
  readonly device: TunnelDevice;
  readonly fromTun: PacketBatch;
  readonly fromUdp: PacketBatch;
  readonly toTun: PacketBatch;
  readonly out: PacketBatch;
  /** Endpoint record under which the others know it. */
  readonly record: Uint8Array;
  /** Plain packets it received. */
  received: number;
}

const hubHost = 0;

export class Star {
  /** Milliseconds; fractions as a real clock has them. */
  now: MonoMs = monoMs(1_000_000.25);
  readonly #hub: End;
  readonly #clients: readonly End[];
  readonly #options: StarOptions;

  /** Makes the devices and a session with every client. */
  constructor(options: StarOptions) {
    this.#options = options;
    const secrets = Array.from({ length: options.clients + 1 }, (_, i) => secretOf(i));
    const ends = secrets.map((_, i) => this.#end(i));
    const [hub, ...clients] = ends;
    if (hub === undefined) throw new Error('there is a hub');
    this.#hub = hub;
    this.#clients = clients;
    const publicKeys = secrets.map((secret) => options.suite.publicKey(secret));
    hub.device.configure(
      {
        privateKey: secrets[hubHost]!,
        peers: clients.map((_, i) => ({ publicKey: publicKeys[i + 1]!, allowedIps: [`${inner(i + 1)}/32`] })),
      },
      this.now,
    );
    for (const [i, client] of clients.entries()) {
      const peer = {
        publicKey: publicKeys[hubHost]!,
        endpoint: outerOf(hubHost),
        allowedIps: [`${inner(hubHost)}/32`],
      };
      client.device.configure({ privateKey: secrets[i + 1]!, peers: [peer] }, this.now);
    }
    for (const [i, client] of clients.entries()) this.#greet(client, i + 1);
  }

  /** Plain packets received by anybody. */
  get received(): number {
    return this.#clients.reduce((sum, client) => sum + client.received, this.#hub.received);
  }

  /** One batch out through the hub, and one back from the clients. */
  round(): void {
    this.now = (this.now + 0.125) as MonoMs;
    const { now } = this;
    this.#outwards(now);
    this.#inwards(now);
  }

  #outwards(now: MonoMs): void {
    const hub = this.#hub;
    const clients = this.#clients;
    for (let i = 0; i < this.#options.batch; i++) this.#plain(hub, hubHost, 1 + (i % clients.length));
    hub.device.handleTun(hub.fromTun, now, hub.toTun, hub.out);
    const { out } = hub;
    for (let i = 0; i < out.count; i++) {
      // The last byte of the inner and of the outer address is the client's number.
      const client = clients[out.addresses[out.address[i]! * endpointSize + 7]! - 1]!;
      cross(hub, i, client);
    }
    for (let i = 0; i < clients.length; i++) this.#receive(clients[i]!, now);
    clear(hub);
  }

  #inwards(now: MonoMs): void {
    const hub = this.#hub;
    const clients = this.#clients;
    for (let i = 0; i < this.#options.batch; i++) {
      const number = 1 + (i % clients.length);
      this.#plain(clients[number - 1]!, number, hubHost);
    }
    for (let i = 0; i < clients.length; i++) {
      const client = clients[i]!;
      client.device.handleTun(client.fromTun, now, client.toTun, client.out);
    }
    // One datagram of each in turn: the hub sees its peers interleaved.
    for (let nth = 0, left = true; left; nth++) {
      left = false;
      for (let i = 0; i < clients.length; i++) {
        if (nth >= clients[i]!.out.count) continue;
        cross(clients[i]!, nth, hub);
        left = true;
      }
    }
    for (let i = 0; i < clients.length; i++) clear(clients[i]!);
    this.#receive(hub, now);
    clear(hub);
  }

  /** Initiation, response, and the packet that waited: then the session is good both ways. */
  #greet(client: End, number: number): void {
    const hub = this.#hub;
    this.#plain(client, number, hubHost);
    client.device.handleTun(client.fromTun, this.now, client.toTun, client.out);
    for (const [from, to] of [
      [client, hub],
      [hub, client],
      [client, hub],
    ] as const) {
      for (let i = 0; i < from.out.count; i++) cross(from, i, to);
      clear(from);
      this.#receive(to, this.now);
    }
  }

  #receive(end: End, now: MonoMs): void {
    end.device.handleUdp(end.fromUdp, now, end.toTun, end.out);
    end.received += end.toTun.count;
    end.fromUdp.clear();
    end.toTun.clear();
    end.device.handleTimeout(now, end.out);
    end.device.takeEvents();
  }

  #plain(from: End, source: number, destination: number): void {
    const { packetBytes } = this.#options;
    const { bytes } = from.fromTun;
    const at = from.fromTun.reserve(packetBytes);
    bytes.fill(0, at, at + 20);
    bytes[at] = 0x45;
    bytes[at + 2] = packetBytes >> 8;
    bytes[at + 3] = packetBytes;
    bytes[at + 8] = 64;
    bytes[at + 12] = 10;
    bytes[at + 15] = source;
    bytes[at + 16] = 10;
    bytes[at + 19] = destination;
    from.fromTun.push(at, packetBytes);
  }

  #end(number: number): End {
    const { suite, entropy, memory, batch, packetBytes } = this.#options;
    const room = (packets: number): PacketBatch => {
      const size = packets * (packetBytes + 256) + 8192;
      const arenaStart = memory.alloc(size, 64);
      return new PacketBatch({
        bytes: memory.bytes,
        arenaStart,
        arenaEnd: arenaStart + size,
        capacity: batch + 64,
        addressCapacity: batch + 64,
      });
    };
    const packets = number === hubHost ? batch : Math.ceil(batch / this.#options.clients);
    const record = new Uint8Array(endpointSize);
    if (!writeEndpoint(record, 0, outerOf(number))) throw new Error('an endpoint can be written');
    const device = new TunnelDevice({ suite, entropy, mtu: 1420 });
    device.setWallClock(this.now, unixMs(1_700_000_000_000));
    return {
      device,
      fromTun: room(packets),
      fromUdp: room(packets),
      toTun: room(packets),
      out: room(packets),
      record,
      received: 0,
    };
  }
}

/** Copies datagram `i` that `from` sends to where `to` receives. */
function cross(from: End, i: number, to: End): void {
  const length = from.out.length[i]!;
  const offset = from.out.offset[i]!;
  const at = to.fromUdp.reserve(length);
  to.fromUdp.bytes.copyWithin(at, offset, offset + length);
  to.fromUdp.push(at, length, to.fromUdp.addAddress(from.record, 0), 0);
}

function clear(end: End): void {
  end.out.clear();
  end.toTun.clear();
  end.fromTun.clear();
}

function inner(number: number): string {
  return `10.0.0.${number}`;
}

function outerOf(number: number): { readonly address: string; readonly port: number } {
  return { address: `192.0.2.${number}`, port: 51820 };
}

function secretOf(number: number): Uint8Array {
  const secret = new Uint8Array(32);
  seededEntropy(1000 + number).fill(secret);
  return secret;
}
