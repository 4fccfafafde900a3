/**
 * edge.yaml → a typed configuration (product.md §6), with all errors at once and their lines. Reads
 * no clock and no network; files of keys through the function it is given.
 */

import { isAbsolute, join } from 'node:path';
import { type Prefix, parsePrefix } from '../shared/core/base/ip.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import { maxShards } from '../shared/core/tunnel/shards.ts';
import type { AcmeConfig } from './config-acme.ts';
import { type DnsConfig, readDns } from './config-dns.ts';
import { type EgressConfig, readEgress } from './config-egress.ts';
import { type CertificateConfig, type ListenConfig, readCertificate, readListen } from './config-listen.ts';
import { type ObfuscationConfig, readObfuscation } from './config-obfuscation.ts';
import { type ConfigProblem, ConfigReader, type Field, type Section } from './config-reader.ts';
import { type EdgeNetwork, prefixesOf } from './network.ts';
import { type ConfiguredPeer, readPeers } from './peers/configured-peers.ts';

export interface EdgeConfig extends EgressConfig, ListenConfig, ObfuscationConfig {
  readonly name: string;
  /** Host name or address that clients are told. */
  readonly endpoint: string | undefined;
  readonly interfaceName: string;
  /** Of the tunnel, bytes. */
  readonly mtu: number;
  /** Of the API; undefined: the edge makes its own. */
  readonly certificate: CertificateConfig | undefined;
  /** An authority that signs the edge's own key; undefined: nobody does. */
  readonly acme: AcmeConfig | undefined;
  /** Packet workers that share nothing. */
  readonly workers: number;
  readonly network: EdgeNetwork;
  readonly privateKeyFile: string;
  readonly peers: readonly ConfiguredPeer[];
  readonly dns: DnsConfig;
  /** Connections, and as many flows of datagrams, that one device may have at a time. */
  readonly connectionsPerDevice: number;
  /** New connections and flows of datagrams a second that one device may open; 0 = no limit. */
  readonly connectionsPerSecond: number;
  /** Bytes a second inside the tunnel, each way, unless a device has a limit of its own; 0 = no limit. */
  readonly deviceRate: number;
  /** Bytes in both directions that a device may move, unless it has a limit of its own; 0 = no limit. */
  readonly deviceQuotaBytes: number;
}

export interface ParsedConfig {
  readonly config: EdgeConfig;
  /** What is understood and not served yet. */
  readonly warnings: readonly ConfigProblem[];
}

/** What the text needs to be understood. */
export interface ConfigSurroundings {
  /** For messages. */
  readonly fileName: string;
  /** Against which relative paths of the file are meant. */
  readonly folder: string;
  /** Where the private key lives unless the file says otherwise. */
  readonly dataFolder: string;
  /** 32 bytes; undefined where the file is missing; throws where it is no key. */
  readonly readSecretKey: (path: string) => Uint8Array | undefined;
  /** Of a file that others cannot read; throws CulvertError. */
  readonly readSecretText: (path: string) => string;
  /** Half a sentence: why the kernel cannot forward for this program; absent where it can. */
  readonly kernelMissing?: string | undefined;
}

export const defaultInterface = 'cvedge0';
/** Fits IPv4 and IPv6 under the usual 1500. */
export const defaultMtu = 1420;
/** The smallest that IPv6 may have, and the largest that a TUN device may. */
const leastMtu = 1280;
const mostMtu = 65_535;
export const defaultConnectionsPerDevice = 16_384;
const mostConnectionsPerDevice = 65_536;
/** A browser that restores a hundred pages opens a few hundred; a scanner opens thousands. */
export const defaultConnectionsPerSecond = 500;
const mostConnectionsPerSecond = 1_000_000;
const leastDeviceRate = 1000;

const rootKeys = [
  'name',
  'endpoint',
  'interface',
  'mtu',
  'listen',
  'certificate',
  'store',
  'workers',
  'network',
  'obfuscation',
  'privateKeyFile',
  'egress',
  'dns',
  'limits',
  'peers',
];
const laterStores = 'postgres';

/** Throws CulvertError 'bad-config' whose text has one line per problem. */
export function parseEdgeConfig(text: string, surroundings: ConfigSurroundings): ParsedConfig {
  const reader = new ConfigReader(text);
  const warnings: ConfigProblem[] = [];
  const root = reader.section(reader.root, {
    known: rootKeys,
    required: ['network'],
  });
  const config = readRoot(reader, root ?? new Map(), surroundings, warnings);
  if (reader.problems.length > 0 || config === undefined) {
    throw badConfig(reader.problems, surroundings.fileName);
  }
  return { config, warnings };
}

function badConfig(problems: readonly ConfigProblem[], fileName: string): CulvertError {
  const lines = problems.map((problem) => `${fileName}:${problem.line}: ${problem.text}`);
  const count = lines.length === 1 ? 'an error' : `${lines.length} errors`;
  return new CulvertError('bad-config', {
    text: `The configuration has ${count}.\n${lines.map((line) => `  ${line}`).join('\n')}`,
    remedy: `Correct ${lines.length === 1 ? 'that line' : 'those lines'} and start again.`,
  });
}

function readRoot(
  reader: ConfigReader,
  root: Section,
  surroundings: ConfigSurroundings,
  warnings: ConfigProblem[],
): EdgeConfig | undefined {
  const resolve = (path: string): string => (isAbsolute(path) ? path : join(surroundings.folder, path));
  const network = readNetwork(reader, root.get('network'));
  const peers = readPeers(reader, root.get('peers'), {
    network: prefixesOf(network),
    readSecretKey: (path) => surroundings.readSecretKey(resolve(path)),
  });
  const keyFile = reader.text(root.get('privateKeyFile'));
  const workers = reader.integer(root.get('workers'), 1, maxShards) ?? 1;
  const interfaceName = readInterface(reader, root.get('interface'), workers) ?? defaultInterface;
  const listen = readListen(reader, root.get('listen'), workers, warnings);
  readStore(reader, root.get('store'));
  const egress = readEgress(reader, root.get('egress'), {
    kernelMissing: surroundings.kernelMissing,
    network: prefixesOf(network),
    readSecretText: (path) => surroundings.readSecretText(resolve(path)),
  });
  readWorkers(reader, root.get('workers'), workers, listen.udpPorts.length);
  const obfuscation = readObfuscation(reader, root.get('obfuscation'));
  if (egress.backend === 'userspace') checkUserspace(reader, root, workers, warnings);
  return {
    name: reader.name(root.get('name')) ?? 'edge',
    endpoint: readEndpoint(reader, root.get('endpoint')),
    interfaceName,
    mtu: readMtu(reader, root.get('mtu'), obfuscation),
    ...obfuscation,
    ...listen,
    ...readCertificate(reader, root.get('certificate'), resolve),
    workers,
    network,
    privateKeyFile: keyFile === undefined ? join(surroundings.dataFolder, 'edge.key') : resolve(keyFile),
    ...egress,
    peers,
    dns: readDns(reader, root.get('dns')),
    ...readLimits(reader, root.get('limits')),
  };
}

/** Noise before every data packet takes its bytes from the tunnel's packets. */
function readMtu(reader: ConfigReader, at: Field | undefined, { disguise }: ObfuscationConfig): number {
  const noise = disguise?.prefix.transport ?? 0;
  const mtu = reader.integer(at, leastMtu, mostMtu);
  if (at !== undefined && mtu !== undefined && noise > 0 && mtu <= defaultMtu && mtu + noise > defaultMtu) {
    reader.problem(
      at,
      `${at.name} must be ${defaultMtu - noise} at most: obfuscation.prefix.data takes ${noise} bytes of each packet`,
    );
  }
  return mtu ?? defaultMtu - noise;
}

/** What the kernel would do and a program without privileges cannot. */
function checkUserspace(
  reader: ConfigReader,
  root: Section,
  workers: number,
  warnings: ConfigProblem[],
): void {
  const workersField = root.get('workers');
  if (workersField !== undefined && workers > 1) {
    reader.problem(
      workersField,
      'workers: the userspace backend has one; several need egress.backend: kernel',
    );
  }
  const interfaceField = root.get('interface');
  if (interfaceField !== undefined) {
    const text = 'interface is not used: the userspace backend makes no network interface';
    warnings.push({ line: interfaceField.line, text });
  }
}

function readLimits(
  reader: ConfigReader,
  at: Field | undefined,
): Pick<EdgeConfig, 'connectionsPerDevice' | 'connectionsPerSecond' | 'deviceRate' | 'deviceQuotaBytes'> {
  const known = ['connectionsPerDevice', 'connectionsPerSecond', 'deviceQuotaBytes', 'deviceRate'];
  const section = at === undefined ? undefined : reader.section(at, { known });
  return {
    connectionsPerSecond:
      reader.integer(section?.get('connectionsPerSecond'), 0, mostConnectionsPerSecond) ??
      defaultConnectionsPerSecond,
    deviceRate: readRate(reader, section?.get('deviceRate')),
    connectionsPerDevice:
      reader.integer(section?.get('connectionsPerDevice'), 1, mostConnectionsPerDevice) ??
      defaultConnectionsPerDevice,
    deviceQuotaBytes: reader.integer(section?.get('deviceQuotaBytes'), 0, Number.MAX_SAFE_INTEGER) ?? 0,
  };
}

/** A rate of a few bytes would be a device that is cut, with no word about it. */
function readRate(reader: ConfigReader, at: Field | undefined): number {
  const rate = reader.integer(at, 0, Number.MAX_SAFE_INTEGER) ?? 0;
  if (at !== undefined && rate > 0 && rate < leastDeviceRate) {
    reader.problem(at, `${at.name} is in bytes a second: ${leastDeviceRate} at least, or 0 for no limit`);
  }
  return rate;
}

function readStore(reader: ConfigReader, at: Field | undefined): void {
  const text = reader.text(at);
  if (at === undefined || text === undefined || text === 'sqlite') return;
  const why = text.startsWith(laterStores) ? 'is not available yet; only sqlite is' : 'must be sqlite';
  reader.problem(at, `${at.name} ${why}`);
}

function readEndpoint(reader: ConfigReader, at: Field | undefined): string | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  const plain = text.replace(/^\[(.*)\]$/, '$1');
  const isHost = /^(?!-)[a-zA-Z0-9.-]{1,253}$/.test(plain);
  if (isHost || parsePrefix(plain)?.bits === 128) return plain;
  return reader.problem(at, `${at.name} must be a host name or an address, without a port`);
}

/** Every worker has a socket of its own, and devices are told its port. */
function readWorkers(reader: ConfigReader, at: Field | undefined, workers: number, ports: number): void {
  if (at === undefined || workers <= ports) return;
  const there = ports === 1 ? 'there is 1' : `there are ${ports}`;
  reader.problem(at, `${at.name}: ${workers} workers need ${workers} ports in listen.udp, ${there}`);
}

function readInterface(reader: ConfigReader, at: Field | undefined, workers: number): string | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  // The interfaces of further workers have a letter more.
  const longest = workers > 1 ? 14 : 15;
  if (/^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/.test(text) && text.length <= longest) return text;
  return reader.problem(
    at,
    `${at.name} must be 1 to ${longest} letters, digits, dots, dashes or underscores`,
  );
}

function readNetwork(reader: ConfigReader, at: Field | undefined): EdgeNetwork {
  const section = at === undefined ? undefined : reader.section(at, { known: ['v4', 'v6'] });
  if (at === undefined || section === undefined) return { v4: undefined, v6: undefined };
  const v4 = readNetworkPrefix(reader, section.get('v4'), 4);
  const v6 = readNetworkPrefix(reader, section.get('v6'), 16);
  if (section.size === 0) reader.problem(at, `${at.name} needs v4, v6 or both`);
  return { v4, v6 };
}

function readNetworkPrefix(reader: ConfigReader, at: Field | undefined, size: number): Prefix | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  const prefix = parsePrefix(text);
  const example = size === 4 ? '10.83.0.0/16' : '"fd7c:1:2:3::/64"';
  if (prefix === undefined || prefix.address.length !== size || !text.includes('/')) {
    return reader.problem(
      at,
      `${at.name} must be an IPv${size === 4 ? 4 : 6} prefix, for example ${example}`,
    );
  }
  const full = size * 8;
  if (prefix.bits < 8 || prefix.bits > full - 2) {
    return reader.problem(at, `${at.name} must be between /8 and /${full - 2}`);
  }
  return prefix;
}
