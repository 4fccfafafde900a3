import { execFileSync } from 'node:child_process';
import koffi from 'koffi';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endpointSize } from '../../../../../shared/core/base/endpoint.ts';
import { parseAddress, readEndpoint, writeEndpoint } from '../../../../../shared/core/base/ip.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { errno } from '../../../../../shared/node/ffi/errno.ts';
import { ffiAvailable, type Libc } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { mmsghdr, SO_MARK, SOL_SOCKET } from '../../../../../shared/node/ffi/structs.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';
import { UdpLinux } from '../../../../../shared/node/udp/udp-linux.ts';
import { recommendedUdpRead } from '../../../../../shared/node/udp/udp-linux-receive.ts';
import { describeWith } from '../../../../support/requires.ts';

const ffi = ffiAvailable();

describe.runIf(ffi.ok)('what the system refuses', () => {
  if (!ffi.ok) return;
  const { libc } = ffi;

  test('a device without checksums (EIO) ends trains for good, and all datagrams still leave', () => {
    const script = scripted(libc, (_calls, message) => (message.segments > 1 ? errno.EIO : 0));
    const { port, batch } = open(script.libc);
    fill(
      batch,
      '192.0.2.1',
      Array.from({ length: 10 }, () => 100),
    );

    const first = port.writeBatch(batch);
    const second = port.writeBatch(batch);

    expect([first, second]).toEqual([0, 0]);
    expect(script.sent).toEqual(Array.from({ length: 20 }, () => 1));
    expect(port.description).toBe('linux gso gro');
  });

  test.each([errno.EMSGSIZE, errno.EINVAL])(
    'a train that does not fit its path (errno %i) goes singly',
    (number) => {
      const script = scripted(libc, (_calls, message) =>
        message.segments > 1 && message.size > 1000 ? number : 0,
      );
      const { port, batch } = open(script.libc);
      fill(batch, '192.0.2.1', [1400, 1400, 1400]);
      fill(batch, '192.0.2.1', [500, 500, 500, 500]);

      expect(port.writeBatch(batch)).toBe(0);
      const learned = script.calls();
      expect(port.writeBatch(batch)).toBe(0);

      // At first the shorter 500 ends the train of 1400; later 1400 is known to be too long for any train.
      expect(script.sent).toEqual([1, 1, 1, 1, 3, 1, 1, 1, 4]);
      expect(script.calls() - learned).toBeLessThan(learned);
    },
  );

  test('a datagram that is refused is dropped, those before and behind it are not', () => {
    const script = scripted(libc, (_calls, message) => (message.size === 77 ? errno.EPERM : 0));
    const { port, batch } = open(script.libc);
    fill(batch, '192.0.2.1', [50, 77, 80]);

    expect(port.writeBatch(batch)).toBe(1);
    expect(script.sent).toEqual([1, 1]);
  });

  test('a full socket is waited for a bounded time, then the rest is dropped', () => {
    const script = scripted(libc, (calls) => (calls > 3 ? errno.EAGAIN : 0));
    const { port, batch } = open(script.libc);
    fill(batch, '192.0.2.1', [10, 20, 30, 40, 50]);

    expect(port.writeBatch(batch)).toBe(2);
    expect(script.waits()).toBe(4);
  });

  test('a socket that is full for a moment loses nothing', () => {
    const script = scripted(libc, (calls) => (calls === 2 ? errno.EAGAIN : 0));
    const { port, batch } = open(script.libc);
    fill(batch, '192.0.2.1', [10, 20, 30]);

    expect(port.writeBatch(batch)).toBe(0);
    expect(script.waits()).toBe(1);
  });

  /** A port whose sendmmsg is the script's; everything else is real. */
  function open(scriptedLibc: Libc): { port: UdpLinux; batch: PacketBatch } {
    const memory = new WorkerMemory(2 * 1024 * 1024, libc);
    scriptMemory = memory;
    const port = new UdpLinux({ libc: scriptedLibc, memory, log: silentLog });
    port.bind(0);
    ports.push(port);
    return { port, batch: newBatch(memory, 512 * 1024) };
  }
});

let scriptMemory: WorkerMemory | undefined;
const ports: UdpLinux[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

interface Message {
  readonly segments: number;
  /** Of the first segment. */
  readonly size: number;
}

/** A libc that sends one message a call, or fails as told. `sent` has the number of datagrams of each message. */
function scripted(libc: Libc, verdict: (calls: number, message: Message) => number) {
  const sent: number[] = [];
  let calls = 0;
  let waits = 0;
  let last = 0;
  const sendmmsg = (_fd: number, headers: number): number => {
    const memory = scriptMemory!;
    const at = headers - memory.base;
    const vectors = Number(memory.view.getBigUint64(at + mmsghdr.vectors, true)) - memory.base;
    const segments = memory.view.getUint32(at + mmsghdr.vectorCount, true);
    last = verdict(++calls, { segments, size: memory.view.getUint32(vectors + 8, true) });
    if (last !== 0) return -1;
    sent.push(segments);
    return 1;
  };
  const poll = (): number => {
    waits++;
    return 1;
  };
  return {
    libc: { ...libc, sendmmsg, poll, errno: () => (last === 0 ? libc.errno() : last) },
    sent,
    calls: () => calls,
    waits: () => waits,
  };
}

// The tests below run in a network namespace of this process alone: it ends with the process.

describeWith({ namespaces: true }, 'in a namespace', () => {
  if (!ffi.ok) throw new Error(ffi.reason);
  const { libc } = ffi;
  const memory = new WorkerMemory(32 * 1024 * 1024, libc);
  const outgoing = newBatch(memory, 4 * 1024 * 1024);
  const incoming = newBatch(memory, recommendedUdpRead.arenaBytes);

  beforeAll(() => {
    const newNetworkNamespace = 0x4000_0000;
    if (koffi.load(null).func('int unshare(int flags)')(newNetworkNamespace) !== 0)
      throw new Error('unshare');
    ip('link set lo up');
  });

  function bound(): UdpLinux {
    const port = new UdpLinux({ libc, memory, log: silentLog });
    ports.push(port);
    port.bind(0);
    return port;
  }

  function received(port: UdpLinux): { size: number; from: string | undefined }[] {
    const list: { size: number; from: string | undefined }[] = [];
    for (;;) {
      incoming.clear();
      if (port.readBatch(incoming) === 0) return list;
      for (let i = 0; i < incoming.count; i++) {
        const from = readEndpoint(incoming.addresses, incoming.address[i]! * endpointSize)?.address;
        list.push({ size: incoming.length[i]!, from });
      }
    }
  }

  test.each(['127.0.0.1', '::1'])('thousands of full datagrams arrive whole over %s', (address) => {
    const [a, b] = [bound(), bound()];
    outgoing.clear();
    fill(
      outgoing,
      address,
      Array.from({ length: 1000 }, () => 1452),
      b.localPort,
    );

    expect(a.writeBatch(outgoing)).toBe(0);

    const list = received(b);
    expect(list).toHaveLength(1000);
    expect(list.every(({ size, from }) => size === 1452 && from === address)).toBe(true);
  });

  test.each(['127.0.0.1', '::1'])('datagrams larger than the path arrive in fragments over %s', (address) => {
    const [a, b] = [bound(), bound()];
    outgoing.clear();
    fill(outgoing, address, [1452, 1452, 1452, 100], b.localPort);
    ip('link set lo mtu 1280');

    const dropped = a.writeBatch(outgoing);

    ip('link set lo mtu 65536');
    expect(dropped).toBe(0);
    expect(received(b).map(({ size }) => size)).toEqual([1452, 1452, 1452, 100]);
  });

  test.each([
    ['10.66.0.1', '10.66.0.7'],
    ['fd66::1', 'fd66::7'],
  ])('to %s the local address of the record is used, %s, and given up once it is gone', (to, source) => {
    const add = (address: string): string => ip(`addr add ${address}/${to.includes(':') ? 128 : 32} dev lo`);
    add(to);
    add(source);
    const [a, b] = [bound(), bound()];
    outgoing.clear();
    fill(outgoing, to, [10, 10], b.localPort, source);

    a.writeBatch(outgoing);
    const before = received(b).map(({ from }) => from);
    ip(`addr del ${source}/${to.includes(':') ? 128 : 32} dev lo`);
    const dropped = a.writeBatch(outgoing);
    const after = received(b).map(({ from }) => from);

    expect(before).toEqual([source, source]);
    expect(dropped).toBe(0);
    expect(after).toEqual([to, to]);
  });

  test('the firewall mark is set on both sockets and survives a new port', () => {
    const a = bound();
    a.setMark(51_820);
    expect(marks(a)).toEqual([51_820, 51_820]);

    a.bind(0);

    expect(marks(a)).toEqual([51_820, 51_820]);
    a.setMark(0);
    expect(marks(a)).toEqual([0, 0]);
  });

  test('without IPv6 addresses the IPv4 half still works', () => {
    execFileSync('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
    const [a, b] = [bound(), bound()];
    execFileSync('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=0']);
    outgoing.clear();
    fill(outgoing, '127.0.0.1', [10], b.localPort);

    expect(a.writeBatch(outgoing)).toBe(0);
    expect(received(b)).toHaveLength(1);
  });

  function marks(port: UdpLinux): number[] {
    const at = memory.alloc(16);
    return port.pollFds.map((fd) => {
      memory.view.setUint32(at + 8, 4, true);
      expect(libc.getsockopt(fd, SOL_SOCKET, SO_MARK, memory.base + at, memory.base + at + 8)).toBe(0);
      return memory.view.getUint32(at, true);
    });
  }
});

function ip(args: string): string {
  return execFileSync('ip', args.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function newBatch(memory: WorkerMemory, arenaBytes: number): PacketBatch {
  const arenaStart = memory.alloc(arenaBytes, 64);
  return new PacketBatch({
    bytes: memory.bytes,
    arenaStart,
    arenaEnd: arenaStart + arenaBytes,
    capacity: recommendedUdpRead.capacity,
    addressCapacity: recommendedUdpRead.addressCapacity,
  });
}

function fill(batch: PacketBatch, to: string, sizes: readonly number[], port = 9, source?: string): void {
  const record = new Uint8Array(endpointSize);
  expect(writeEndpoint(record, 0, { address: to, port })).toBe(true);
  if (source !== undefined) record.set(parseAddress(source)!, 24);
  const address = batch.addAddress(record, 0);
  for (const size of sizes) {
    const at = batch.reserve(size);
    expect(at).toBeGreaterThan(0);
    batch.bytes.fill(size, at, at + size);
    expect(batch.push(at, size, address)).toBe(true);
  }
}
