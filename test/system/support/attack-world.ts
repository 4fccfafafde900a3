/**
 * An edge of either backend in a lab, with services behind and on it that must not be reached, and devices that send
 * whatever packets a test makes up.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { EdgeStatus } from '../../../edge/admin/status.ts';
import { formatAddress, parseAddress } from '../../../shared/core/base/ip.ts';
import type { Child } from '../../../shared/node/lab/child.ts';
import { Lab, type LabHost, labAddresses } from '../../../shared/node/lab/topology.ts';
import { generatePrivateKey, publicKeyOf } from '../../../shared/node/wgtools/keys.ts';
import { icmpPacket, type PacketParts, tcpPacket, udpPacket } from '../../support/packets.ts';

const edgeProgram = new URL('../../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const deviceProgram = new URL('./raw-device-program.ts', import.meta.url).pathname;
const servicesProgram = new URL('./far-services-program.ts', import.meta.url).pathname;
export const readyMs = 20_000;
/** Between tries of a probe, and how long answers are waited for when the last one is out: far more than they take. */
const retryMs = 400;
const tries = 3;
const port = 51820;
export const servicePort = 8080;
const syn = 2;
const synAck = 0x12;

export type Backend = 'kernel' | 'userspace';

export interface Probe {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

interface Keys {
  readonly privateKey: string;
  readonly publicKey: string;
}

export function keysOf(): Keys {
  const privateKey = generatePrivateKey();
  const text = (key: Uint8Array): string => Buffer.from(key).toString('base64');
  return { privateKey: text(privateKey), publicKey: text(publicKeyOf(privateKey)) };
}

/** Sends packets into its tunnel and keeps what comes out. */
export class RawDevice {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
  readonly #child: Child;
  #ports = 20_000;

  static async start(host: LabHost, name: string, keys: Keys, wiring: Wiring): Promise<RawDevice> {
    const words = [process.execPath, deviceProgram, keys.privateKey, wiring.edgeKey, labAddresses.edge];
    const child = await host.start(name, [...words, String(port)], { input: true });
    await child.waitFor(/^ready$/m, readyMs);
    return new RawDevice(name, wiring, child);
  }

  private constructor(name: string, wiring: Wiring, child: Child) {
    this.name = name;
    this.v4 = wiring.v4;
    this.v6 = wiring.v6;
    this.#child = child;
  }

  /** Since the start; the oldest may be gone. */
  get received(): readonly Uint8Array[] {
    return this.#child.stdout
      .split('\n')
      .filter((line) => /^[0-9a-f]{40,}$/.test(line))
      .map((line) => Uint8Array.from(Buffer.from(line, 'hex')));
  }

  send(...packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#child.write(`${Buffer.from(packet).toString('hex')}\n`);
  }

  end(): Promise<number> {
    return this.#child.end('SIGKILL');
  }

  /** From this device's own address to that one. */
  partsTo(address: string): PacketParts & { readonly version: 4 | 6 } {
    const version = address.includes(':') ? 6 : 4;
    return { version, source: bytesOf(version === 4 ? this.v4 : this.v6), destination: bytesOf(address) };
  }

  datagram(to: string, text: string, parts: PacketParts = {}): Uint8Array {
    const payload = Uint8Array.from(Buffer.from(text, 'latin1'));
    return udpPacket({
      ...this.partsTo(to),
      sourcePort: 9999,
      destinationPort: servicePort,
      payload,
      ...parts,
    });
  }

  ping(to: string): Uint8Array {
    const type = to.includes(':') ? 128 : 8;
    return icmpPacket(type, 0, [0, 7, 0, 1, 1, 2, 3, 4], this.partsTo(to));
  }

  /** Which of these answer, as texts. The last that is asked is one that does: then all others had their time. */
  async answering(probes: readonly Probe[]): Promise<readonly string[]> {
    const marker: Probe = { protocol: 'tcp', address: labAddresses.inet, port: servicePort };
    const asked = [...probes, marker].map((probe) => ({ probe, sourcePort: this.#ports++ }));
    const packets = asked.map(({ probe, sourcePort }) => this.#probe(probe, sourcePort));
    for (let i = 0; i < tries; i++) {
      this.send(...packets);
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    const heard = (): ReadonlySet<number> => this.#answered();
    await until(() => heard().has(asked.at(-1)?.sourcePort ?? 0), 'the place that is open answers');
    const answered = heard();
    return asked
      .slice(0, -1)
      .flatMap(({ probe, sourcePort }) => (answered.has(sourcePort) ? [textOf(probe)] : []));
  }

  #probe({ protocol, address, port: to }: Probe, sourcePort: number): Uint8Array {
    const parts = { ...this.partsTo(address), sourcePort, destinationPort: to };
    if (protocol === 'tcp') return tcpPacket({ ...parts, flags: syn, acknowledgement: 0 });
    return udpPacket({ ...parts, payload: Uint8Array.from(Buffer.from('probe')) });
  }

  /** Our ports to which somebody answered: yes to a connection, or a datagram. */
  #answered(): ReadonlySet<number> {
    const ports = new Set<number>();
    for (const packet of this.received) {
      const v4 = (packet[0] ?? 0) >> 4 === 4;
      const protocol = (v4 ? packet[9] : packet[6]) ?? 0;
      const at = v4 ? 20 : 40;
      const isYes = protocol === 17 || (protocol === 6 && ((packet[at + 13] ?? 0) & synAck) === synAck);
      if (isYes) ports.add(((packet[at + 2] ?? 0) << 8) | (packet[at + 3] ?? 0));
    }
    return ports;
  }
}

interface Wiring {
  readonly edgeKey: string;
  readonly v4: string;
  readonly v6: string;
}

export class AttackWorld {
  readonly lab: Lab;
  readonly folder: string;
  readonly #started: Child[] = [];
  readonly #devices: RawDevice[] = [];
  readonly #keys = { attacker: keysOf(), victim: keysOf() } as const;
  #edge: Child | undefined;
  #status: EdgeStatus | undefined;

  static async up(label: string): Promise<AttackWorld> {
    return new AttackWorld(await Lab.up({ label }));
  }

  private constructor(lab: Lab) {
    this.lab = lab;
    this.folder = join(lab.folder, 'edge');
    mkdirSync(this.folder, { mode: 0o700 });
  }

  /** An address that the edge reaches and devices must not. */
  async addPlace(address: string): Promise<void> {
    const v6 = address.includes(':');
    const prefix = `${address}/${v6 ? 128 : 32}`;
    await this.lab.inet.run('ip', ['address', 'add', prefix, 'dev', 'lo']);
    const gateway = v6 ? labAddresses.inetV6 : labAddresses.inet;
    await this.lab.edge.run('ip', ['route', 'add', prefix, 'via', gateway]);
  }

  async startServices(host: LabHost, ...ports: readonly (number | string)[]): Promise<Child> {
    const words = [process.execPath, servicesProgram, ...ports.map(String)];
    const child = await host.start('services', words);
    this.#started.push(child);
    await child.waitFor(/listening/, readyMs);
    return child;
  }

  async startEdge(backend: Backend, more = ''): Promise<void> {
    this.configure(backend, more);
    this.#edge = await this.lab.edge.start('edge', [edgeProgram, 'run', '--data', this.folder]);
    this.#started.push(this.#edge);
    await this.#edge.waitFor(/^ready$/m, readyMs);
    this.#status = await this.status();
  }

  configure(backend: Backend, more = ''): void {
    const peer = (name: 'attacker' | 'victim', last: number): string =>
      `  - { name: ${name}, publicKey: "${this.#keys[name].publicKey}", ` +
      `allowedIps: [10.83.0.${last}, "fd7c:1:2:3::${last}"] }\n`;
    const text = `name: home
endpoint: ${labAddresses.edge}
interface: cvta${process.pid % 10_000}
listen: { udp: [${port}], https: [], metrics: off }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
dns: { upstreams: [] }
egress:
  backend: ${backend}
${more}peers:
${peer('attacker', 2)}${peer('victim', 3)}`;
    writeFileSync(join(this.folder, 'edge.yaml'), text);
  }

  /** Writes the file and waits until the edge has taken it. */
  async reload(backend: Backend, more: string): Promise<void> {
    this.configure(backend, more);
    await this.lab.edge.run(edgeProgram, ['reload', '--data', this.folder]);
  }

  /** What `culvert-edge` prints for these words. */
  async edgeCommand(...words: readonly string[]): Promise<string> {
    const { stdout } = await this.lab.edge.run(edgeProgram, [...words, '--data', this.folder]);
    return stdout;
  }

  async status(): Promise<EdgeStatus> {
    return JSON.parse(await this.edgeCommand('status', '--json')) as EdgeStatus;
  }

  /** A device of the store, made while the edge runs. */
  async addDevice(name: string): Promise<RawDevice> {
    const added = await this.edgeCommand('device', 'add', name, '--generate', '--json');
    const { config } = JSON.parse(added) as { config: string };
    const [, privateKey = ''] = /^PrivateKey = (.*)$/m.exec(config) ?? [];
    const [, v4 = '', v6 = ''] = /^Address = ([^/]+)\/32, ([^/]+)\/128$/m.exec(config) ?? [];
    const wiring = { edgeKey: this.#status?.publicKey ?? '', v4, v6 };
    const device = await RawDevice.start(
      this.lab.client,
      name.replaceAll(' ', '-'),
      { privateKey, publicKey: '' },
      wiring,
    );
    this.#devices.push(device);
    return device;
  }

  /** What the edge has said so far. */
  get log(): string {
    return `${this.#edge?.stdout ?? ''}${this.#edge?.stderr ?? ''}`;
  }

  async startDevice(name: 'attacker' | 'victim'): Promise<RawDevice> {
    const last = name === 'attacker' ? 2 : 3;
    const device = await RawDevice.start(this.lab.client, name, this.#keys[name], {
      edgeKey: this.#status?.publicKey ?? '',
      v4: `10.83.0.${last}`,
      v6: `fd7c:1:2:3::${last}`,
    });
    this.#devices.push(device);
    return device;
  }

  /** Ends edge, devices and services; the lab stays. */
  async rest(): Promise<void> {
    await Promise.all(this.#devices.splice(0).map((device) => device.end()));
    await Promise.all(this.#started.splice(0).map((child) => child.end()));
  }

  async down(): Promise<void> {
    await this.rest();
    await this.lab.down();
  }
}

export function textOf({ protocol, address, port: to }: Probe): string {
  return `${protocol} ${address} ${to}`;
}

export function bothOf(...addresses: readonly string[]): readonly Probe[] {
  return addresses.flatMap((address) =>
    (['tcp', 'udp'] as const).map((protocol) => ({ protocol, address, port: servicePort })),
  );
}

export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await expect.poll(holds, { timeout: readyMs, interval: 50, message: what }).toBe(true);
}

export function bytesOf(address: string): number[] {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new Error(`no address: ${address}`);
  return [...bytes];
}

/** 'udp 10.83.0.2 → 10.83.0.3' and so on, of packets that came. */
export function namesOf(packets: readonly Uint8Array[]): readonly string[] {
  return packets.map((packet) => {
    const v4 = (packet[0] ?? 0) >> 4 === 4;
    const [source, end, size] = v4 ? [12, 20, 4] : [8, 40, 16];
    const from = formatAddress(packet.slice(source, source + size));
    return `${(v4 ? packet[9] : packet[6]) ?? 0} ${from} → ${formatAddress(packet.slice(end - size, end))}`;
  });
}
