// Nothing on the path of a packet may make an object: at a million packets a second the collector would be the
// tunnel. Counted, not read: bytes of heap that packets leave behind, ports and devices each for themselves.

import { afterEach, expect, test } from 'vitest';
import { endpointSize } from '../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../shared/core/base/ip.ts';
import type { PacketBatch } from '../../shared/core/packet/batch.ts';
import { Coalescer } from '../../shared/core/packet/coalesce.ts';
import { segment } from '../../shared/core/packet/segment.ts';
import {
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  setVirtioChecksum,
  setVirtioGso,
  virtioHeaderSize,
} from '../../shared/core/packet/virtio-header.ts';
import { TunnelDevice } from '../../shared/core/tunnel/device.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { chooseSuite } from '../../shared/node/crypto/choose.ts';
import { loopBatches, loopBatchesBytes } from '../../shared/node/dataplane/batches.ts';
import { DataplaneLoop } from '../../shared/node/dataplane/loop.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import type { TunPort } from '../../shared/node/tun/port.ts';
import { UdpLinux } from '../../shared/node/udp/udp-linux.ts';
import { bytesAllocated } from '../support/allocation.ts';
import { patternBytes, tcpPacket, udpPacket } from '../support/packets.ts';
import { describeWith } from '../support/requires.ts';
import { Star } from '../support/star.ts';

/**
 * A number outside the small integers takes 16 bytes, and so would fail at one in sixteen packets. What is
 * really found is 0.05 to 0.4: a few numbers a batch, and the measurement itself.
 */
const mostBytesPerPacket = 1;
/** A step has numbers of its own (the time, the next deadline), and is too rare in a test to be compiled fully. */
const mostBytesPerPacketInLoop = 8;
const batch = 64;
const parts = 4;
/** A million packets take a few seconds on an idle machine. */
const slowMs = 60_000;

/**
 * Bytes of heap per packet of `round`, which returns how many packets it handled. The least of a few equal parts:
 * compiling leaves garbage too, but not in all of them.
 */
function bytesPerPacket(packets: number, round: () => number): number {
  const part = (): number => {
    let handled = 0;
    const bytes = bytesAllocated(() => {
      while (handled < packets / parts) handled += round();
    });
    return bytes / handled;
  };
  return Math.min(...Array.from({ length: parts }, part));
}

describeWith({ ffi: true }, 'a packet allocates nothing', () => {
  const opened: { close(): void }[] = [];
  afterEach(() => opened.splice(0).forEach((one) => one.close()));

  function keep<T extends { close(): void }>(one: T): T {
    opened.push(one);
    return one;
  }

  function newMemory(bytes = 32 * 1024 * 1024): WorkerMemory {
    return keep(new WorkerMemory(bytes, requireLibc()));
  }

  test.each([
    ['one peer, OpenSSL', 1, 1400, 'openssl'],
    ['one peer and small packets, OpenSSL', 1, 90, 'openssl'],
    ['one peer and small packets, WebAssembly', 1, 90, 'wasm'],
    ['32 peers interleaved, whatever was chosen', 32, 1000, 'auto'],
  ] as const)(
    'on its way through two devices: %s',
    (_, clients, packetBytes, prefer) => {
      const memory = newMemory();
      const suite = chooseSuite({ memory, log: silentLog, prefer });
      const star = new Star({ suite, entropy: systemEntropy(), memory, clients, batch, packetBytes });
      const before = star.received;

      const bytes = bytesPerPacket(1_000_000, () => {
        star.round();
        return 2 * batch;
      });

      expect(suite.name).not.toBe('portable');
      expect(star.received - before).toBeGreaterThanOrEqual(1_000_000);
      expect(bytes).toBeLessThan(mostBytesPerPacket);
    },
    slowMs,
  );

  test.each([
    ['trains over IPv4', '127.0.0.1', 1400, 0],
    ['trains over IPv6', '::1', 1400, 0],
    ['small datagrams of different sizes', '127.0.0.1', 90, 1],
  ])('at the UDP port: %s', (_, address, size, growth) => {
    const memory = newMemory();
    const wire = udpPair(memory, address);

    const bytes = bytesPerPacket(300_000, () => {
      wire.send(size, growth);
      return wire.receive();
    });

    expect(bytes).toBeLessThan(mostBytesPerPacket);
  });

  test.each([
    ['TCP over IPv4', 4, 'tcp'],
    ['TCP over IPv6', 6, 'tcp'],
    ['UDP over IPv4', 4, 'udp'],
    ['UDP over IPv6', 6, 'udp'],
  ] as const)('cut out of a super-packet and merged into one: %s', (_, version, protocol) => {
    const memory = newMemory();
    const { fromTun } = loopBatches(memory);
    const source = memory.alloc(70_000);
    const length = putSuperPacket(memory.bytes, source, version, protocol);
    const coalescer = new Coalescer({ capacity: 2048, tcp4: true, tcp6: true, udp4: true, udp6: true });

    const bytes = bytesPerPacket(300_000, () => {
      fromTun.clear();
      segment(fromTun, memory.bytes, source, length);
      coalescer.plan(fromTun);
      return fromTun.count;
    });

    expect(coalescer.groupCount).toBe(1);
    expect(fromTun.count).toBe(segments);
    expect(bytes).toBeLessThan(mostBytesPerPacket);
  });

  test('in the loop, from the inside of one to the inside of the other', () => {
    const [from, to] = [newLoop(), newLoop()];
    connect(from, to);

    const bytes = bytesPerPacket(300_000, () => {
      const before = to.tun.taken;
      from.tun.waiting = true;
      from.loop.step();
      for (let turn = 0; turn < patience && to.tun.taken - before < batch; turn++) to.loop.step();
      return to.tun.taken - before;
    });

    expect(bytes).toBeLessThan(mostBytesPerPacketInLoop);
  });

  function udpPair(memory: WorkerMemory, address: string) {
    const libc = requireLibc();
    const [a, b] = [0, 1].map(() => keep(new UdpLinux({ libc, memory, log: silentLog })));
    a.bind(0);
    b.bind(0);
    const { out, fromUdp } = loopBatches(memory);
    const record = new Uint8Array(endpointSize);
    expect(writeEndpoint(record, 0, { address, port: b.localPort })).toBe(true);
    return {
      /** Sizes that go down and up again cannot travel as one train. */
      send(size: number, growth: number): void {
        out.clear();
        const to = out.addAddress(record, 0);
        for (let i = 0; i < batch; i++) {
          const length = size + growth * (i & 1) * i;
          out.push(out.reserve(length), length, to, 1);
        }
        a.writeBatch(out);
      },
      receive(): number {
        let received = 0;
        for (let turn = 0; turn < patience && received < batch; turn++) {
          fromUdp.clear();
          received += b.readBatch(fromUdp);
        }
        return received;
      },
    };
  }

  function newLoop() {
    const libc = requireLibc();
    const memory = newMemory(loopBatchesBytes + 4 * 1024 * 1024);
    const suite = chooseSuite({ memory, log: silentLog, prefer: 'openssl' });
    const udp = keep(new UdpLinux({ libc, memory, log: silentLog }));
    udp.bind(0);
    const tun = new TunFeeder();
    const device = new TunnelDevice({ suite, entropy: systemEntropy(), mtu: tun.mtu });
    const clock = systemClock();
    const loop = new DataplaneLoop({
      device,
      udp,
      tun,
      clock,
      batches: loopBatches(memory),
      onEvent: () => {},
    });
    const privateKey = new Uint8Array(32);
    systemEntropy().fill(privateKey);
    return { loop, device, tun, udp, clock, privateKey, publicKey: suite.publicKey(privateKey) };
  }
});

const patience = 10_000;
const segments = 40;
const segmentBytes = 1380;

/** An inside that has a batch to send whenever it is told so, and counts what it is given. */
class TunFeeder implements TunPort {
  readonly name = 'feeder';
  readonly description = 'feeder';
  readonly mtu = 1420;
  readonly pollFds: readonly number[] = [];
  onReadable: (() => void) | undefined;
  waiting = false;
  taken = 0;

  readBatch(into: PacketBatch): number {
    if (!this.waiting) return 0;
    this.waiting = false;
    for (let i = 0; i < batch; i++) {
      const at = into.reserve(1400);
      into.bytes.set(header, at);
      into.push(at, 1400);
    }
    return batch;
  }

  writeBatch(from: PacketBatch): number {
    this.taken += from.count;
    return 0;
  }

  refreshMtu(): boolean {
    return true;
  }

  close(): void {}
}

/** From 10.0.0.1 to 10.0.0.2, 1400 bytes. */
const header = Uint8Array.of(0x45, 0, 0x05, 0x78, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);

interface LoopEnd {
  readonly loop: DataplaneLoop;
  readonly device: TunnelDevice;
  readonly tun: TunFeeder;
  readonly udp: UdpLinux;
  readonly clock: ReturnType<typeof systemClock>;
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Makes a session that `from` begins. */
function connect(from: LoopEnd, to: LoopEnd): void {
  const { privateKey } = to;
  to.device.configure(
    { privateKey, peers: [{ publicKey: from.publicKey, allowedIps: ['10.0.0.1/32'] }] },
    to.clock.now(),
  );
  const endpoint = { address: '127.0.0.1', port: to.udp.localPort };
  const peer = { publicKey: to.publicKey, endpoint, allowedIps: ['10.0.0.2/32'] };
  from.device.configure({ privateKey: from.privateKey, peers: [peer] }, from.clock.now());
  from.tun.waiting = true;
  for (let turn = 0; turn < patience && to.tun.taken < batch; turn++) {
    from.loop.step();
    to.loop.step();
  }
  expect(to.tun.taken).toBe(batch);
}

/** Writes a super-packet behind its virtio header and returns its length without it. */
function putSuperPacket(bytes: Uint8Array, at: number, version: 4 | 6, protocol: 'tcp' | 'udp'): number {
  const payload = patternBytes(segments * segmentBytes);
  const tcp = protocol === 'tcp';
  const packet = tcp
    ? tcpPacket({ version, payload, sequence: 0xffff_0000 })
    : udpPacket({ version, payload });
  setVirtioGso(bytes, at, tcp ? (version === 4 ? gsoTcp4 : gsoTcp6) : gsoUdp, segmentBytes, 0);
  setVirtioChecksum(bytes, at, version === 4 ? 20 : 40, tcp ? 16 : 6);
  bytes.set(packet, at + virtioHeaderSize);
  return packet.length;
}
