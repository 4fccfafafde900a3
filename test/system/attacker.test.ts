/**
 * An enrolled device that turns against its edge, with packets of its own making: what it must not reach, by either
 * backend, over both families. Every "no answer" has its control: the same probe where the edge lets it pass.
 */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { labAddresses } from '../../shared/node/lab/topology.ts';
import { icmpPacket, ipPacket, tcpPacket, udpPacket } from '../support/packets.ts';
import { describeWith } from '../support/requires.ts';
import {
  AttackWorld,
  type Backend,
  bothOf,
  bytesOf,
  namesOf,
  type Probe,
  type RawDevice,
  servicePort,
  textOf,
  until,
} from './support/attack-world.ts';

/** Of the edge itself, by every name it has outside the tunnel. */
const own = [labAddresses.edge, labAddresses.edgeV6, labAddresses.upstream, labAddresses.upstreamV6];
/** On the far host, all with a route there. */
const places = [
  '169.254.169.254',
  'fd00:ec2::254',
  '10.9.9.9',
  '192.168.77.7',
  '100.64.3.3',
  'fd99::9',
  // 10.9.9.9 and 169.254.169.254 behind a NAT64 translator, and 10.9.9.9 behind a 6to4 relay.
  '64:ff9b::a09:909',
  '64:ff9b::a9fe:a9fe',
  '2002:a09:909::1',
];
const placeWords = places.map((place) => `${servicePort}@${place}`);
const mail: readonly Probe[] = [labAddresses.inet, labAddresses.inetV6].map((address) => ({
  protocol: 'tcp',
  address,
  port: 25,
}));
/** What no opening could make reachable: the control is that a service listens on these ports of all addresses. */
const never = [
  '127.0.0.1',
  '0.0.0.0',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:198.51.100.1',
  '10.83.0.1',
  'fd7c:1:2:3::1',
];
const closed = [...bothOf(...own, ...places), ...mail];
const open = bothOf(labAddresses.inet, labAddresses.inetV6).map(textOf);

let world: AttackWorld;

describeWith({ root: true, namespaces: true, tools: ['nft'] }, 'a device that attacks its edge', () => {
  beforeAll(async () => {
    world = await AttackWorld.up('cvt-attack');
    for (const place of places) await world.addPlace(place);
  }, 60_000);

  afterEach(() => world.rest());
  afterAll(() => world?.down());

  describe.each<Backend>(['kernel', 'userspace'])('with the %s backend', (backend) => {
    test('reaches the Internet and nothing that is closed, until that is opened by name', {
      timeout: 90_000,
    }, async () => {
      await world.startServices(world.lab.edge, servicePort);
      await world.startServices(world.lab.inet, servicePort, 25, ...placeWords);
      await world.startEdge(backend);
      const attacker = await world.startDevice('attacker');

      const answers = await attacker.answering([
        ...bothOf(labAddresses.inet, labAddresses.inetV6),
        ...closed,
        ...bothOf(...never),
      ]);

      expect(answers).toEqual(open);

      // The control: named one by one, all of it answers, and so would have.
      const names = [...own, ...places, labAddresses.inet, labAddresses.inetV6];
      await world.reload(backend, `  allow: [${names.map((cidr) => `{ cidr: "${cidr}" }`).join(', ')}]\n`);
      expect(await attacker.answering(closed)).toEqual(closed.map(textOf));

      // An opening is for its device, and opens no more than it says.
      await world.reload(
        backend,
        '  allow: [{ cidr: 10.9.0.0/16, device: attacker }, { cidr: 169.254.0.0/16 }, { cidr: 0.0.0.0/0 }]\n',
      );
      const victim = await world.startDevice('victim');
      const expected = [...bothOf('10.9.9.9'), ...mail.slice(0, 1)].map(textOf);
      expect(await attacker.answering(closed)).toEqual(expected);
      expect(await victim.answering(closed)).toEqual(mail.slice(0, 1).map(textOf));
    });

    test('does not pass for others, nor pass by in pieces, by options or by many names', {
      timeout: 60_000,
    }, async () => {
      const near = await world.startServices(world.lab.edge, servicePort);
      const far = await world.startServices(world.lab.inet, servicePort);
      await world.startEdge(backend);
      const attacker = await world.startDevice('attacker');
      const victim = await world.startDevice('victim');
      const { inet, inetV6 } = labAddresses;

      attacker.send(
        // Borrowed addresses: another device's, the edge's, strangers'.
        ...[victim.v4, '10.83.0.1', '10.83.0.77', inet, '127.0.0.1', '192.0.2.1'].map((source) =>
          attacker.datagram(inet, 'BAD borrowed', { source: bytesOf(source) }),
        ),
        ...[victim.v6, 'fd7c:1:2:3::1', '::1', 'fe80::1', inetV6].map((source) =>
          attacker.datagram(inetV6, 'BAD borrowed', { source: bytesOf(source) }),
        ),
        // Everybody's addresses.
        ...[
          '255.255.255.255',
          '198.51.100.255',
          '192.0.2.255',
          '10.83.255.255',
          '224.0.0.1',
          '239.1.1.1',
          'ff02::1',
          'ff05::2',
          'ff0e::1',
        ].map((to) => attacker.datagram(to, 'BAD everybody')),
        // In pieces.
        ...piecesOf(attacker, '169.254.169.254', 'BAD pieces'),
        ...piecesOf(attacker, labAddresses.edge, 'BAD pieces'),
        ...piecesOf(attacker, 'fd99::9', 'BAD pieces'),
        // Behind extension headers; with a route of the sender's choice.
        behindOptions(attacker, 'fd99::9', 'BAD options'),
        behindRouting(attacker, inetV6, 'fd99::9', 'ROUTED'),
        withSourceRoute(attacker, inet, '10.9.9.9', 'ROUTED'),
      );
      const routesBefore = await routes();
      attacker.send(redirect(attacker), redirect6(attacker));
      // The control: the same kinds of packets, honest ones, pass.
      attacker.send(
        attacker.datagram(inet, 'good plain'),
        attacker.datagram(inetV6, 'good plain6'),
        ...piecesOf(attacker, inet, 'good pieces'),
      );

      await until(
        () => ['good plain\n', 'good plain6', 'good pieces'].every((text) => far.stdout.includes(text)),
        'honest packets arrive',
      );
      expect(await attacker.answering([])).toEqual([]);
      expect([near.stdout, far.stdout].join()).not.toMatch(
        // Where the stack looks at the destination alone, that one gets it, and nobody else.
        backend === 'kernel' ? /BAD|ROUTED/ : /BAD|ROUTED at/,
      );
      expect(await routes()).toBe(routesBefore);
      expect(namesOf(victim.received)).toEqual([]);
      const status = await world.status();
      expect(status.drops['disallowed-source']).toBeGreaterThanOrEqual(11);
      if (backend === 'kernel') {
        expect(status.egress.guard).toMatchObject({
          closed: expect.any(Number) as number,
          own: expect.any(Number) as number,
          routed: expect.any(Number) as number,
        });
      }
    });

    test('reaches another device by an opening alone, which lets that one answer and not begin', {
      timeout: 60_000,
    }, async () => {
      await world.startServices(world.lab.inet, servicePort);
      await world.startEdge(backend);
      const attacker = await world.startDevice('attacker');
      const victim = await world.startDevice('victim');
      const tryAll = (): void =>
        attacker.send(
          ...[victim.v4, victim.v6].flatMap((to) => [attacker.datagram(to, 'psst'), attacker.ping(to)]),
          tcpPacket({ ...attacker.partsTo(victim.v4), flags: 2, destinationPort: 22 }),
        );

      tryAll();
      await attacker.answering([]);
      expect(namesOf(victim.received)).toEqual([]);

      await world.reload(backend, `  allow: [{ cidr: ${victim.v4}, device: attacker }]\n`);
      tryAll();
      const over4 = `${attacker.v4} → ${victim.v4}`;
      await until(() => victim.received.length >= 3, 'what was opened arrives');
      await attacker.answering([]);
      expect(new Set(namesOf(victim.received))).toEqual(new Set([`17 ${over4}`, `1 ${over4}`, `6 ${over4}`]));

      // It answers, and does not begin.
      const before = attacker.received.length;
      victim.send(
        victim.datagram(attacker.v4, 'unasked', { sourcePort: 7, destinationPort: 8 }),
        victim.datagram(attacker.v4, 'answer', { sourcePort: servicePort, destinationPort: 9999 }),
      );
      await until(() => attacker.received.length > before, 'the answer arrives');
      await victim.answering([]);
      const texts = attacker.received.slice(before).map((packet) => Buffer.from(packet).toString('latin1'));
      expect(texts.filter((text) => text.includes('answer'))).toHaveLength(1);
      expect(texts.filter((text) => text.includes('unasked'))).toHaveLength(0);
    });

    test('is held to a number of new connections a second, of either family', {
      timeout: 60_000,
    }, async () => {
      const far = await world.startServices(world.lab.inet, servicePort);
      await world.startEdge(backend, limits(50));
      const attacker = await world.startDevice('attacker');
      const scan = (to: string): void =>
        attacker.send(
          ...Array.from({ length: 600 }, (_, i) => attacker.datagram(to, 'scan', { sourcePort: 1000 + i })),
        );

      scan(labAddresses.inet);
      scan(labAddresses.inetV6);
      const dropped = async (): Promise<number> => {
        const { egress } = await world.status();
        return egress.guard?.['rate'] ?? egress.flows?.refused['rate'] ?? 0;
      };
      await expect.poll(dropped, { timeout: 20_000 }).toBeGreaterThan(600);
      const heard = far.stdout.split('scan').length - 1;
      // The burst of four seconds passes: of each address with the kernel, of the device in user space.
      expect(heard).toBeGreaterThanOrEqual(150);
      expect(heard).toBeLessThan(700);
    });
  });

  test('gets no answer from the edge before it has proved who it is', { timeout: 60_000 }, async () => {
    await world.startEdge('userspace');
    const words = [process.execPath, '-e', strangerProgram, labAddresses.edge, '51820'];
    const stranger = await world.lab.client.start('stranger', words);

    expect(await stranger.exit).toBe(0);

    const { sent, heard } = JSON.parse(stranger.stdout) as { sent: number; heard: number[] };
    expect(sent).toBeGreaterThan(2000);
    expect(heard).toEqual([]);
    // The control: the edge did read all that.
    const { drops } = await world.status();
    expect(Object.values(drops).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(sent / 2);
    expect(drops).toMatchObject({ 'bad-mac1': expect.any(Number) as number });
  });
});

/** Sends every size, every type, and initiations without a valid mac1; prints what came back. */
const strangerProgram = `
  const [host, port] = process.argv.slice(1);
  const socket = require('dgram').createSocket('udp4');
  const heard = [];
  let sent = 0;
  socket.on('message', (bytes) => heard.push(bytes.length));
  const send = (bytes) => new Promise((done) => { sent++; socket.send(bytes, +port, host, done); });
  (async () => {
    for (let size = 0; size <= 1400; size += 7) {
      for (const type of [0, 1, 2, 3, 4, 5, 255]) {
        const bytes = Buffer.alloc(size, 0x41);
        if (size >= 4) bytes.writeUInt32LE(type, 0);
        await send(bytes);
      }
    }
    for (const [type, size] of [[1, 148], [2, 92], [3, 64], [4, 32]]) {
      for (let i = 0; i < 250; i++) {
        const bytes = require('crypto').randomBytes(size);
        bytes.writeUInt32LE(type, 0);
        await send(bytes);
        if (i % 50 === 0) await new Promise((go) => setTimeout(go, 5));
      }
    }
    await new Promise((go) => setTimeout(go, 1000));
    console.log(JSON.stringify({ sent, heard }));
    process.exit(0);
  })();`;

function limits(perSecond: number): string {
  return `limits: { connectionsPerSecond: ${perSecond} }\n`;
}

async function routes(): Promise<string> {
  const { edge } = world.lab;
  const asked = [labAddresses.inet, labAddresses.inetV6, '10.9.9.9', 'fd99::9'].map((to) => [
    'route',
    'get',
    to,
  ]);
  const answers = await Promise.all(asked.map((words) => edge.run('ip', words)));
  return answers.map(({ stdout }) => stdout.replace(/cache.*$/m, '')).join();
}

/** A datagram in two fragments, the second with the end of the text. */
function piecesOf(device: RawDevice, to: string, text: string): readonly Uint8Array[] {
  const whole = device.datagram(to, text.padEnd(64, '.'));
  const { version, source = [], destination = [] } = device.partsTo(to);
  const at = version === 4 ? 20 : 40;
  const cut = at + 24;
  const id = Math.floor(performance.now() * 7) & 0xffff;
  const parts = { version, source, destination, id };
  const [first, second] = [whole.slice(at, cut), whole.slice(cut)];
  if (version === 4) {
    return [
      ipPacket(17, first, { ...parts, fragment: 0x2000 }),
      ipPacket(17, second, { ...parts, fragment: (cut - at) / 8 }),
    ];
  }
  const header = (offset: number, more: number): number[] => {
    const field = (offset << 3) | more;
    return [17, 0, field >> 8, field & 255, 0, 0, id >> 8, id & 255];
  };
  return [
    ipPacket(44, Uint8Array.of(...header(0, 1), ...first), parts),
    ipPacket(44, Uint8Array.of(...header((cut - at) / 8, 0), ...second), parts),
  ];
}

/** UDP behind hop-by-hop and destination options. */
function behindOptions(device: RawDevice, to: string, text: string): Uint8Array {
  const udp = device.datagram(to, text).slice(40);
  const padding = [1, 4, 0, 0, 0, 0];
  return ipPacket(0, Uint8Array.of(60, 0, ...padding, 17, 0, ...padding, ...udp), device.partsTo(to));
}

/** A routing header of type 0 that asks the first hop to send it on. */
function behindRouting(device: RawDevice, via: string, to: string, text: string): Uint8Array {
  const udp = device.datagram(to, text).slice(40);
  return ipPacket(43, Uint8Array.of(17, 2, 0, 1, 0, 0, 0, 0, ...bytesOf(to), ...udp), device.partsTo(via));
}

/** Loose source routing by way of `via`. */
function withSourceRoute(device: RawDevice, via: string, to: string, text: string): Uint8Array {
  const plain = device.datagram(via, text);
  const option = [0x83, 7, 4, ...bytesOf(to), 0];
  const packet = new Uint8Array(plain.length + option.length);
  packet.set(plain.subarray(0, 20));
  packet.set(option, 20);
  packet.set(plain.subarray(20), 20 + option.length);
  packet[0] = 0x47;
  const view = new DataView(packet.buffer);
  view.setUint16(2, packet.length);
  view.setUint16(10, 0);
  let sum = 0;
  for (let i = 0; i < 28; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, 0xffff - sum);
  return packet;
}

/** "For the far host, better ask me", about a packet that the edge is said to have sent. */
function redirect(device: RawDevice): Uint8Array {
  const about = udpPacket({
    source: bytesOf(labAddresses.upstream),
    destination: bytesOf(labAddresses.inet),
  });
  return icmpPacket(5, 1, [...bytesOf(device.v4), ...about.subarray(0, 28)], device.partsTo('10.83.0.1'));
}

function redirect6(device: RawDevice): Uint8Array {
  const parts = device.partsTo('fd7c:1:2:3::1');
  const rest = [0, 0, 0, 0, ...bytesOf(device.v6), ...bytesOf(labAddresses.inetV6)];
  return icmpPacket(137, 0, rest, { ...parts, ttl: 255 });
}
