// AmneziaWG's parameters on the wire: our own ends in namespaces with a capture between them, plain WireGuard that is
// not answered, and amneziawg-go in both roles where its binary is given.
import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import { formatHexKey } from '../../shared/core/uapi/values.ts';
import type { DisguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import { uapiRequest } from '../../shared/node/uapi/uapi-client.ts';
import { firstVersionFields, fullFields } from '../support/disguises.ts';
import { amneziaWgProgram, describeWith } from '../support/requires.ts';
import { eventually, type Host, Lab, type Running } from './support/hosts.ts';
import { newInterfaceName, programOf } from './support/implementations.ts';
import { cabledHosts, inner, type Key, newKey, outer, ping, port } from './support/pair.ts';
import { exchange, startStreamServer } from './support/programs.ts';

const startMs = 20_000;
const plainTypes = [1, 2, 3, 4];
const mtu = 1380;

interface End {
  readonly host: Host;
  readonly name: string;
  readonly socket: string;
  readonly process: Running;
}

interface Way {
  readonly lab: Lab;
  readonly a: End;
  readonly b: End;
  readonly keys: { readonly a: Key; readonly b: Key };
}

/** Starts a program that speaks the configuration protocol, wherever it puts its socket. */
async function startEnd(host: Host, program: string): Promise<End> {
  const name = newInterfaceName();
  const process = host.start([program, '-f', name]);
  const places = ['/var/run/wireguard', '/var/run/amneziawg'].map((folder) => join(folder, `${name}.sock`));
  let socket = '';
  const found = await eventually(async () => {
    for (const place of places) if (await connects(place)) socket = place;
    return socket !== '' || process.hasEnded();
  }, startMs);
  if (!found || socket === '') throw new Error(`${program} did not start: ${process.text()}`);
  return { host, name, socket, process };
}

function connects(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function configure(end: End, lines: readonly string[]): Promise<void> {
  const reply = await uapiRequest(end.socket, ['set=1', ...lines, '', ''].join('\n'));
  expect(reply).toBe('errno=0\n\n');
}

function lines(fields: DisguiseFields): string[] {
  return Object.entries(fields).map(([key, value]) => `${key}=${value}`);
}

function hex(text: string): string {
  return formatHexKey(decodeBase64Key(text) ?? new Uint8Array(32));
}

/** Two ends on one cable; `a` begins. */
async function way(lab: Lab, programs: readonly [string, string], fields: Record<'a' | 'b', DisguiseFields>) {
  const [hostA, hostB] = await cabledHosts(lab);
  // Trains are cut before they cross, as on a real cable: the capture sees each datagram.
  for (const host of [hostA, hostB]) await host.run('ip', 'link', 'set', 'eth0', 'gso_max_segs', '1');
  const [a, b] = await Promise.all([startEnd(hostA, programs[0]), startEnd(hostB, programs[1])]);
  const keys = { a: newKey(), b: newKey() };
  const made: Way = { lab, a, b, keys };
  for (const side of ['b', 'a'] as const) {
    const far = side === 'a' ? 'b' : 'a';
    const end = made[side];
    await configure(end, [
      `private_key=${hex(keys[side].secret)}`,
      `listen_port=${port}`,
      ...lines(fields[side]),
      `public_key=${hex(keys[far].public)}`,
      ...(side === 'a' ? [`endpoint=${outer.b}:${port}`] : []),
      `allowed_ip=${inner[far]}/32`,
    ]);
    await end.host.script(`
      ip addr add ${inner[side]}/24 dev ${end.name}
      ip link set ${end.name} mtu ${mtu} up
    `);
  }
  return made;
}

async function close({ lab, a, b }: Way): Promise<void> {
  await lab.close();
  for (const { socket } of [a, b]) rmSync(socket, { force: true });
}

interface Capture {
  /** Payloads of the UDP datagrams that passed, in order. */
  end(): Promise<readonly Buffer[]>;
}

/** Everything on the cable of `host` that is UDP over IPv4. */
async function capture(lab: Lab, host: Host): Promise<Capture> {
  const file = join(lab.folder, 'capture.pcap');
  const words = ['-i', 'eth0', '-U', '--immediate-mode', '-s', '0', '-w', file, 'udp', 'and', 'ip'];
  const program = host.start(['tcpdump', '-Z', 'root', ...words]);
  expect(await eventually(() => /listening on/.test(program.text()), startMs)).toBe(true);
  return {
    end: async () => {
      await program.stop('SIGINT');
      return datagramsOf(readFileSync(file));
    },
  };
}

/** A file of tcpdump: header of 24 bytes, then records with 16 bytes of their own before an Ethernet frame. */
function datagramsOf(file: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const frame = file.subarray(at + 16, at + 16 + length);
    const ipHeader = ((frame[14] ?? 0) & 15) * 4;
    const udp = 14 + ipHeader;
    found.push(frame.subarray(udp + 8, udp + frame.readUInt16BE(udp + 4)));
    at += 16 + length;
  }
  return found;
}

const needs = { namespaces: true, tools: ['ip', 'ping', 'tcpdump', 'wireguard-go'] };
const ours = programOf('ours');

describeWith(needs, 'our two ends with AmneziaWG’s parameters', () => {
  test.each([
    ['every parameter', fullFields],
    ['those of the first version', firstVersionFields],
  ])('carry traffic with %s, and nothing on the cable looks like WireGuard', async (_name, fields) => {
    const made = await way(new Lab(), [ours, ours], { a: fields, b: { ...fields, jc: '0' } });
    try {
      const tape = await capture(made.lab, made.b.host);
      await startStreamServer(made.b.host);

      expect((await ping(made.a.host, inner.b, 5)).received).toBe(5);
      const large = await ping(made.a.host, inner.b, 3, '-M', 'do', '-s', String(mtu - 28));
      expect(large.received).toBe(3);
      const seen = await tape.end();

      expect(seen.length).toBeGreaterThan(16);
      expect(seen.filter((one) => plainTypes.includes(one.readUInt32LE(0)))).toEqual([]);
      expect(seen.filter(({ length }) => length === 148 || length === 92)).toEqual([]);
      const lengths = seen.slice(0, Number(fields.jc) + 2).map(({ length }) => length);
      expect(lengths.slice(-2)).toEqual([148 + Number(fields.s1), 92 + Number(fields.s2)]);
      for (const size of lengths.slice(0, -2)) {
        expect(size).toBeGreaterThanOrEqual(Number(fields.jmin));
        expect(size).toBeLessThanOrEqual(Number(fields.jmax));
      }
      expect(await exchange(made.a.host, inner.b, 5_000_000)).toBe('ok');
      const reply = await uapiRequest(made.b.socket, 'get=1\n\n');
      expect(reply).toContain(`\nh1=${fields.h1}\nh2=${fields.h2}\n`);
    } finally {
      await close(made);
    }
  });

  test.each([
    ['wireguard-go', programOf('reference')],
    ['our own program', ours],
  ])('do not answer %s without them', async (_name, program) => {
    const made = await way(new Lab(), [program, ours], { a: {}, b: fullFields });
    try {
      const tape = await capture(made.lab, made.b.host);

      expect((await ping(made.a.host, inner.b, 2)).received).toBe(0);

      const seen = await tape.end();
      expect(seen.length).toBeGreaterThan(0);
      expect(new Set(seen.map((one) => one.readUInt32LE(0)))).toEqual(new Set([1]));
    } finally {
      await close(made);
    }
  });

  test('talk with wireguard-go where there is noise before the handshake alone', async () => {
    const junk = { jc: '5', jmin: '30', jmax: '400' };
    const made = await way(new Lab(), [ours, programOf('reference')], { a: junk, b: {} });
    try {
      expect((await ping(made.a.host, inner.b, 5)).received).toBe(5);
    } finally {
      await close(made);
    }
  });
});

describeWith({ ...needs, amneziaWg: true }, 'amneziawg-go and our program', () => {
  const pairings = [
    ['ours', 'amneziawg-go', ours, amneziaWgProgram],
    ['amneziawg-go', 'ours', amneziaWgProgram, ours],
  ] as const;

  test.each(pairings)(
    '%s begins, %s answers: with the parameters of the first version',
    async (_a, _b, ...programs) => {
      const made = await way(new Lab(), programs, { a: firstVersionFields, b: firstVersionFields });
      try {
        await startStreamServer(made.b.host);

        expect((await ping(made.a.host, inner.b, 10)).received).toBe(10);
        expect(await exchange(made.a.host, inner.b, 5_000_000)).toBe('ok');
      } finally {
        await close(made);
      }
    },
  );

  test.each(pairings)('%s begins, %s answers: with every parameter', async (_a, _b, ...programs) => {
    const made = await way(new Lab(), programs, { a: fullFields, b: fullFields });
    try {
      await startStreamServer(made.b.host);

      expect((await ping(made.a.host, inner.b, 10)).received).toBe(10);
      expect(await exchange(made.a.host, inner.b, 5_000_000)).toBe('ok');
    } finally {
      await close(made);
    }
  });
});
