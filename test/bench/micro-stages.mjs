// The stages that micro.mjs times. Each is prepared once, in the memory of one packet worker, and then told to do one
// round; a round handles `packets` packets. `before` prepares a round and is not timed.

import { endpointSize } from '../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../shared/core/base/ip.ts';
import { monoMs, unixMs } from '../../shared/core/base/time.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { writeU16 } from '../../shared/core/packet/checksum.ts';
import { Coalescer } from '../../shared/core/packet/coalesce.ts';
import { fillIpv4Checksum } from '../../shared/core/packet/ipv4.ts';
import { segment } from '../../shared/core/packet/segment.ts';
import {
  gsoTcp4,
  setVirtioChecksum,
  setVirtioGso,
  virtioHeaderSize,
} from '../../shared/core/packet/virtio-header.ts';
import { AllowedIps } from '../../shared/core/peers/allowed-ips.ts';
import { TunnelDevice } from '../../shared/core/tunnel/device.ts';
import { readDisguise } from '../../shared/core/wire/disguise-fields.ts';
import { chooseSuite } from '../../shared/node/crypto/choose.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';

const memoryBytes = 16 * 1024 * 1024;
const batchPackets = 64;
const manyPrefixes = 1000;
const tcpHeaders = 40;
const segmentPayload = 1380;
const segments = 45;
const transportHeader = 16;
const tag = 16;
const smallPacket = 100;
const fullPacket = 1420;
const disguises = [
  { name: ', other types', fields: { h1: '11', h2: '12', h3: '13', h4: '14' } },
  { name: ', 16 bytes of noise', fields: { s4: '16', h4: '1000-2000' } },
];
const now = monoMs(1000);
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Every stage: {name, packets, before?, round}. */
export function makeStages() {
  const memory = new WorkerMemory(memoryBytes, requireLibc());
  const suite = chooseSuite({ memory, log: silent });
  return {
    suite: suite.name,
    stages: [
      lookupStage(),
      ...[smallPacket, fullPacket].flatMap((size) => cryptoStages(memory, suite, size)),
      segmentStage(memory),
      coalesceStage(memory),
      ...[smallPacket, fullPacket].flatMap((size) => deviceStages(memory, suite, size)),
      ...disguises.flatMap((disguise) => deviceStages(memory, suite, fullPacket, disguise)),
    ],
  };
}

function newBatch(memory, arenaBytes = 256 * 1024) {
  const arenaStart = memory.alloc(arenaBytes, 64);
  const capacity = 4 * batchPackets;
  return new PacketBatch({
    bytes: memory.bytes,
    arenaStart,
    arenaEnd: arenaStart + arenaBytes,
    capacity,
    addressCapacity: capacity,
  });
}

function lookupStage() {
  const table = new AllowedIps();
  for (let i = 0; i < manyPrefixes; i++) table.insert(Uint8Array.of(10, i >> 8, i & 255, 1), 32, i);
  const addresses = new Uint8Array(batchPackets * 4);
  for (let i = 0; i < batchPackets; i++) addresses.set([10, (i * 37) & 3, (i * 101) & 255, 1], i * 4);
  const round = () => {
    for (let i = 0; i < batchPackets; i++) table.lookup4(addresses, i * 4);
  };
  return { name: `allowed-ips lookup, ${manyPrefixes} prefixes`, packets: batchPackets, round };
}

function cryptoStages(memory, suite, size) {
  const key = suite.transportKey(new Uint8Array(32).fill(7));
  const at = memory.alloc(size + tag);
  const sealed = memory.alloc(size + tag);
  key.seal(memory.bytes, sealed, size, 1);
  return [
    { name: `seal ${size} bytes`, packets: 1, round: () => key.seal(memory.bytes, at, size, 1) },
    {
      name: `open ${size} bytes`,
      packets: 1,
      before: () => memory.bytes.copyWithin(at, sealed, sealed + size + tag),
      round: () => must(key.open(memory.bytes, at, size, 1)),
    },
  ];
}

/** An IPv4 TCP packet (its transport checksum left to be filled). */
function writeTcp(bytes, at, length, sequence) {
  bytes.fill(0, at, at + tcpHeaders);
  bytes[at] = 0x45;
  writeU16(bytes, at + 2, length);
  bytes[at + 6] = 0x40;
  bytes[at + 8] = 64;
  bytes[at + 9] = 6;
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2], at + 12);
  fillIpv4Checksum(bytes, at);
  writeU16(bytes, at + 20, 40_000);
  writeU16(bytes, at + 22, 5001);
  writeU16(bytes, at + 24, sequence >>> 16);
  writeU16(bytes, at + 26, sequence & 0xffff);
  bytes[at + 32] = 0x50;
  bytes[at + 33] = 0x10;
}

function superPacket(memory) {
  const length = tcpHeaders + segments * segmentPayload;
  const at = memory.alloc(virtioHeaderSize + length);
  setVirtioGso(memory.bytes, at, gsoTcp4, segmentPayload, tcpHeaders);
  setVirtioChecksum(memory.bytes, at, 20, 16);
  writeTcp(memory.bytes, at + virtioHeaderSize, length, 1);
  return { at, length };
}

function segmentStage(memory) {
  const { at, length } = superPacket(memory);
  const batch = newBatch(memory);
  return {
    name: `segment ${segments} of ${segmentPayload} bytes`,
    packets: segments,
    before: () => batch.clear(),
    round: () => must(segment(batch, memory.bytes, at, length) === 'ok' && batch.count === segments),
  };
}

function coalesceStage(memory) {
  const { at, length } = superPacket(memory);
  const batch = newBatch(memory);
  const coalescer = new Coalescer({
    capacity: 4 * batchPackets,
    tcp4: true,
    tcp6: true,
    udp4: true,
    udp6: true,
  });
  return {
    name: `coalesce ${segments} of ${segmentPayload} bytes`,
    packets: segments,
    before: () => {
      batch.clear();
      must(segment(batch, memory.bytes, at, length) === 'ok');
    },
    round: () => {
      coalescer.plan(batch);
      must(coalescer.groupCount === 1);
    },
  };
}

/** Two devices with a session: what one seals, the other opens. `disguise`: how their messages look. */
function deviceStages(memory, suite, size, { name = '', fields = {} } = {}) {
  const [a, b] = [makeEnd(memory, suite, 1), makeEnd(memory, suite, 2)];
  const { rules } = readDisguise(fields);
  for (const { device } of [a, b]) device.configure({ disguise: rules, peers: [] }, now);
  introduce(suite, a, b, 2);
  introduce(suite, b, a, 1);
  // The first packet asks for a handshake; the answers go to and fro until both have the session.
  fillPlain(a, size, 1);
  a.device.handleTun(a.input, now, a.toTun, a.out);
  for (let turn = 0; turn < 4; turn++) {
    carry(a, b);
    b.device.handleUdp(b.input, now, b.toTun, b.out);
    carry(b, a);
    a.device.handleUdp(a.input, now, a.toTun, a.out);
  }
  return [
    {
      name: `device outbound, ${size} bytes${name}`,
      packets: batchPackets,
      before: () => fillPlain(a, size, batchPackets),
      round: () => {
        a.device.handleTun(a.input, now, a.toTun, a.out);
        must(a.out.count === batchPackets);
      },
    },
    {
      name: `device inbound, ${size} bytes${name}`,
      packets: batchPackets,
      before: () => {
        fillPlain(a, size, batchPackets);
        a.device.handleTun(a.input, now, a.toTun, a.out);
        carry(a, b);
        b.toTun.clear();
        b.out.clear();
      },
      round: () => {
        b.device.handleUdp(b.input, now, b.toTun, b.out);
        must(b.toTun.count === batchPackets);
      },
    },
  ];
}

function makeEnd(memory, suite, number) {
  const device = new TunnelDevice({ suite, entropy: systemEntropy(), mtu: fullPacket });
  device.setWallClock(now, unixMs(1_700_000_000_000));
  const secretKey = new Uint8Array(32);
  systemEntropy().fill(secretKey);
  return {
    number,
    device,
    secretKey,
    input: newBatch(memory),
    toTun: newBatch(memory),
    out: newBatch(memory),
    record: endpointRecord(number),
  };
}

function endpointRecord(number) {
  const record = new Uint8Array(endpointSize);
  must(writeEndpoint(record, 0, { address: `192.0.2.${number}`, port: 51_820 }));
  return record;
}

function introduce(suite, self, other, number) {
  const peer = {
    publicKey: suite.publicKey(other.secretKey),
    allowedIps: [`10.0.0.${number}/32`],
    endpoint: { address: `192.0.2.${number}`, port: 51_820 },
  };
  self.device.configure({ privateKey: self.secretKey, peers: [peer] }, now);
}

/** Plain packets from 10.0.0.1 to 10.0.0.2 at the inside of `end`. */
function fillPlain(end, size, count) {
  end.input.clear();
  end.toTun.clear();
  end.out.clear();
  for (let i = 0; i < count; i++) {
    const at = end.input.reserve(size);
    writeTcp(end.input.bytes, at, size, i * size);
    end.input.push(at, size);
  }
}

/** Everything that `from` wants to send becomes the input of `to`. */
function carry(from, to) {
  to.input.clear();
  for (let i = 0; i < from.out.count; i++) {
    const length = from.out.length[i];
    const at = to.input.reserve(Math.max(length, transportHeader));
    to.input.bytes.copyWithin(at, from.out.offset[i], from.out.offset[i] + length);
    to.input.push(at, length, to.input.addAddress(from.record, 0));
  }
  from.out.clear();
}

function must(condition) {
  if (!condition) throw new Error('a stage did not do its work');
}
