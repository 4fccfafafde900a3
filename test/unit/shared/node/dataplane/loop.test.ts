/** Two whole data planes in one process: memory ports, a clock moved by hand, no threads. */

import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../../../shared/core/base/ip.ts';
import { type MonoMs, monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import { TunnelDevice } from '../../../../../shared/core/tunnel/device.ts';
import type { TunnelEvent } from '../../../../../shared/core/tunnel/events.ts';
import type { Clock } from '../../../../../shared/node/clock.ts';
import { loopBatches, loopBatchesBytes } from '../../../../../shared/node/dataplane/batches.ts';
import { Commands } from '../../../../../shared/node/dataplane/commands.ts';
import { EventDriver } from '../../../../../shared/node/dataplane/event-driver.ts';
import { DataplaneLoop, restIntervalMs } from '../../../../../shared/node/dataplane/loop.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { TunMemory } from '../../../../../shared/node/tun/tun-memory.ts';
import { UdpWire } from '../../../../../shared/node/udp/udp-memory.ts';
import { packet, textOf } from '../../../../sim/world.ts';
import { seededEntropy, seededKey, seededRandom } from '../../../../support/seeded.ts';

class HandClock implements Clock {
  readonly kind = 'process';
  at: MonoMs = monoMs(1);
  now(): MonoMs {
    return this.at;
  }
  unix(): ReturnType<Clock['unix']> {
    return unixMs(1_700_000_000_000 + this.at);
  }
}

function end(name: string, wire: UdpWire, address: string, clock: HandClock, seed: number) {
  const udp = wire.port({ v4: parseAddress(address)! });
  const tun = new TunMemory(name, 1420);
  const device = new TunnelDevice({ suite: portableSuite, entropy: seededEntropy(seed), mtu: tun.mtu });
  const events: TunnelEvent[] = [];
  const loop = new DataplaneLoop({
    device,
    udp,
    tun,
    clock,
    batches: loopBatches(new WorkerMemory(loopBatchesBytes + 65_536, undefined)),
    onEvent: (event) => events.push(event),
  });
  const commands = new Commands({ device, udp, tun, clock, suite: 'portable' });
  return { udp, tun, loop, commands, events };
}

function twoEnds() {
  const clock = new HandClock();
  const wire = new UdpWire({ random: seededRandom(1) });
  const a = end('a', wire, '192.0.2.1', clock, 1);
  const b = end('b', wire, '192.0.2.2', clock, 2);
  const [secretA, secretB] = [seededKey(21), seededKey(22)];
  b.commands.configure({
    privateKey: secretB,
    listenPort: 51820,
    peers: [{ publicKey: portableSuite.publicKey(secretA), allowedIps: ['10.0.0.1/32'] }],
  });
  a.commands.configure({
    privateKey: secretA,
    peers: [
      {
        publicKey: portableSuite.publicKey(secretB),
        endpoint: { address: '192.0.2.2', port: 51820 },
        allowedIps: ['10.0.0.2/32'],
      },
    ],
  });
  return { clock, wire, a, b };
}

describe('a data plane loop', () => {
  it('moves packets from one inside to the other, and says idle when nothing waits', () => {
    const { a, b } = twoEnds();
    a.tun.send(packet(4, 1, 2, 'through'));

    const results = [];
    for (let i = 0; i < 4; i++) results.push(a.loop.step(), b.loop.step());

    expect(b.tun.take().map(textOf)).toEqual(['through']);
    expect(results.at(-1)).toBe('idle');
    expect(a.loop.step()).toBe('idle');
    expect(a.events.map((event) => event.kind)).toContain('established');
  });

  it('tells when it must be called again, and carries out what is due then', () => {
    const { a, b, clock } = twoEnds();
    a.tun.send(packet(4, 1, 2, 'x'));
    for (let i = 0; i < 4; i++) [a, b].forEach((one) => one.loop.step());
    const before = a.commands.status().peers[0]!.rxBytes;

    const due = b.loop.nextTimeoutAt();
    clock.at = monoMs(due);
    const result = b.loop.step();
    a.loop.step();

    expect(due).toBeGreaterThanOrEqual(10_000);
    expect(result).toBe('busy');
    expect(a.commands.status().peers[0]!.rxBytes).toBe(before + 32);
  });

  it('does what is due only once a minute while it rests, and at once when it no longer does', () => {
    const { a, b, clock } = twoEnds();
    a.tun.send(packet(4, 1, 2, 'x'));
    for (let i = 0; i < 4; i++) [a, b].forEach((one) => one.loop.step());
    const due = b.loop.nextTimeoutAt();

    b.loop.rest(true);
    const later = b.loop.nextTimeoutAt();
    clock.at = monoMs(later);
    const result = b.loop.step(0);
    const next = b.loop.nextTimeoutAt();
    b.loop.rest(false);

    expect(due).toBeLessThan(later);
    expect(later).toBe(1 + restIntervalMs);
    expect(result).toBe('busy');
    expect(next).toBeGreaterThanOrEqual(later + restIntervalMs);
    expect(b.loop.isResting).toBe(false);
    expect(b.loop.nextTimeoutAt()).toBeGreaterThan(later);
  });

  it('says gone when the interface is removed', () => {
    const { a } = twoEnds();

    a.tun.remove();

    expect(a.loop.step()).toBe('gone');
  });

  it('sees a new MTU within a second of traffic', () => {
    const { a, clock } = twoEnds();
    a.tun.changeMtu(1280);

    clock.at = monoMs(clock.at + 1001);
    a.loop.step();

    expect(a.commands.status().dataplane.mtu).toBe(1280);
  });

  it('refuses a change whose port is taken, and changes nothing else', () => {
    const { a, wire } = twoEnds();
    const other = wire.port({ v4: parseAddress('192.0.2.1')! });
    other.bind(4444);
    const before = a.commands.status();

    expect(() =>
      a.commands.configure({ listenPort: 4444, fwmark: 7, replacePeers: true, peers: [] }),
    ).toThrow(expect.objectContaining({ code: 'port-in-use', errno: 98 }));

    expect(a.commands.status()).toEqual(before);
    expect(a.udp.mark).toBe(0);
  });
});

describe('the event driver', () => {
  it('steps by itself when packets come, and stops when told', async () => {
    const { a, b, clock } = twoEnds();
    const gone: string[] = [];
    const drivers = [a, b].map(
      ({ loop, udp, tun }) => new EventDriver({ loop, udp, tun, clock, onGone: () => gone.push(tun.name) }),
    );

    a.tun.send(packet(4, 1, 2, 'by events'));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    const delivered = b.tun.take().map(textOf);
    b.tun.remove();
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    for (const driver of drivers) driver.stop();
    a.tun.send(packet(4, 1, 2, 'too late'));
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);

    expect(delivered).toEqual(['by events']);
    expect(gone).toEqual(['b']);
    expect(a.commands.status().peers[0]!.txBytes).toBeGreaterThan(0);
  });
});
