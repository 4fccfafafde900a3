/**
 * edge.yaml → a typed configuration (product.md §6), with all errors at once and their lines. Reads
 * no clock and no network; files of keys through the function it is given.
 */

import { isAbsolute, join } from 'node:path';
import { type Prefix, parsePrefix } from '../shared/core/base/ip.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import { maxShards } from '../shared/core/tunnel/shards.ts';
import { type ConfigProblem, ConfigReader, type Field, type Section } from './config-reader.ts';
import { type EdgeNetwork, prefixesOf } from './network.ts';
import { type ConfiguredPeer, readPeers } from './peers/configured-peers.ts';

export interface EdgeConfig {
  readonly name: string;
  /** Host name or address that clients are told. */
  readonly endpoint: string | undefined;
  readonly interfaceName: string;
  /** Of the tunnel, bytes. */
  readonly mtu: number;
  /** At least as many as workers: worker `i` listens on the port at `i`, the rest is not served. */
  readonly udpPorts: readonly number[];
  /** Packet workers that share nothing. */
  readonly workers: number;
  readonly network: EdgeNetwork;
  readonly privateKeyFile: string;
  readonly closePrivate: boolean;
  readonly allow: readonly Opening[];
  readonly peers: readonly ConfiguredPeer[];
}

export interface Opening {
  readonly cidr: Prefix;
  /** Name of a peer; undefined: every device. */
  readonly device: string | undefined;
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
}

export const defaultInterface = 'cvedge0';
export const defaultUdpPort = 51820;
/** Fits IPv4 and IPv6 under the usual 1500. */
export const defaultMtu = 1420;
/** The smallest that IPv6 may have, and the largest that a TUN device may. */
const leastMtu = 1280;
const mostMtu = 65_535;
const maxOpenings = 256;
const maxUdpPorts = maxShards;

const rootKeys = [
  'name',
  'endpoint',
  'interface',
  'mtu',
  'listen',
  'workers',
  'network',
  'privateKeyFile',
  'egress',
  'peers',
];
const laterKeys = ['store', 'dns', 'limits'];
const laterEgressKeys = ['probe', 'rules'];
const denyWords = ['private', 'link-local', 'metadata'] as const;

/** Throws CulvertError 'bad-config' whose text has one line per problem. */
export function parseEdgeConfig(text: string, surroundings: ConfigSurroundings): ParsedConfig {
  const reader = new ConfigReader(text);
  const warnings: ConfigProblem[] = [];
  const root = reader.section(reader.root, {
    known: rootKeys,
    later: laterKeys,
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
  const udpPorts = readListen(reader, root.get('listen'), workers, warnings);
  readWorkers(reader, root.get('workers'), workers, udpPorts.length);
  return {
    name: reader.name(root.get('name')) ?? 'edge',
    endpoint: readEndpoint(reader, root.get('endpoint')),
    interfaceName,
    mtu: reader.integer(root.get('mtu'), leastMtu, mostMtu) ?? defaultMtu,
    udpPorts,
    workers,
    network,
    privateKeyFile: keyFile === undefined ? join(surroundings.dataFolder, 'edge.key') : resolve(keyFile),
    ...readEgress(reader, root.get('egress'), peers),
    peers,
  };
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

function readListen(
  reader: ConfigReader,
  at: Field | undefined,
  workers: number,
  warnings: ConfigProblem[],
): readonly number[] {
  const keys = { known: ['udp'], later: ['https', 'metrics'] };
  const udp = at === undefined ? undefined : reader.section(at, keys)?.get('udp');
  if (udp === undefined) return [defaultUdpPort];
  const items = reader.list(udp);
  if (items.length > maxUdpPorts) reader.problem(udp, `${udp.name} may have ${maxUdpPorts} ports at most`);
  if (items.length === 0) reader.problem(udp, `${udp.name} needs a port, for example [${defaultUdpPort}]`);
  const ports = items.map((item) => reader.integer(item, 1, 65_535)).filter((port) => port !== undefined);
  if (new Set(ports).size !== ports.length) reader.problem(udp, `${udp.name} names a port twice`);
  if (ports.length > workers) {
    const [served, rest] = [ports.slice(0, workers).join(', '), ports.slice(workers).join(', ')];
    const verb = workers === 1 ? 'is' : 'are';
    warnings.push({ line: udp.line, text: `of ${udp.name}, only ${served} ${verb} served yet; not ${rest}` });
  }
  return ports;
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

function readEgress(
  reader: ConfigReader,
  at: Field | undefined,
  peers: readonly ConfiguredPeer[],
): Pick<EdgeConfig, 'closePrivate' | 'allow'> {
  const keys = { known: ['backend', 'paths', 'deny', 'allow'], later: laterEgressKeys };
  const section = at === undefined ? undefined : reader.section(at, keys);
  const backendField = section?.get('backend');
  const backend = reader.choice(backendField, ['auto', 'kernel', 'userspace']);
  if (backendField !== undefined && backend === 'userspace') {
    reader.problem(backendField, `${backendField.name}: userspace is not available yet; use kernel`);
  }
  readPaths(reader, section?.get('paths'));
  const deny = section?.get('deny');
  const words =
    deny === undefined ? denyWords : reader.list(deny).map((one) => reader.choice(one, denyWords));
  return {
    closePrivate: words.includes('private'),
    allow: readOpenings(reader, section?.get('allow'), peers),
  };
}

/** Today there is one path; the others have names already, so that a file of tomorrow is understood. */
function readPaths(reader: ConfigReader, at: Field | undefined): void {
  if (at === undefined) return;
  const items = reader.list(at);
  if (items.length === 0)
    reader.problem(at, `${at.name} needs a path, for example { id: direct, type: direct }`);
  if (items.length > 1) reader.problem(at, `${at.name}: more than one path is not available yet`);
  for (const item of items) {
    const laterSettings = ['address', 'interface', 'config', 'server', 'username', 'passwordFile', 'how'];
    const known = ['id', 'type', ...laterSettings];
    const section = reader.section(item, { known, required: ['id', 'type'] });
    const typeField = section?.get('type');
    const type = reader.choice(typeField, ['direct', 'source', 'wireguard', 'socks5', 'http', 'block']);
    if (typeField !== undefined && type !== undefined && type !== 'direct') {
      reader.problem(typeField, `${typeField.name}: ${type} is not available yet; only direct is`);
    }
    const id = section?.get('id');
    const idText = reader.text(id);
    if (type === 'direct' && id !== undefined && idText !== undefined && idText !== 'direct') {
      reader.problem(id, `${id.name}: another name than direct is not available yet`);
    }
    if (type !== 'direct') continue;
    for (const key of laterSettings) {
      const field = section?.get(key);
      if (field !== undefined)
        reader.problem(field, `${field.name} does not belong to a path of type direct`);
    }
  }
}

function readOpenings(
  reader: ConfigReader,
  at: Field | undefined,
  peers: readonly ConfiguredPeer[],
): readonly Opening[] {
  if (at === undefined) return [];
  const items = reader.list(at);
  if (items.length > maxOpenings) reader.problem(at, `${at.name} may have ${maxOpenings} entries at most`);
  const openings = items.slice(0, maxOpenings).map((item) => {
    const section = reader.section(item, { known: ['cidr', 'device'], required: ['cidr'] });
    const cidrField = section?.get('cidr');
    const cidrText = reader.text(cidrField);
    const cidr = cidrText === undefined ? undefined : parsePrefix(cidrText);
    if (cidrField !== undefined && cidrText !== undefined && cidr === undefined) {
      reader.problem(
        cidrField,
        `${cidrField.name} must be an address or a prefix, for example 192.168.1.0/24`,
      );
    }
    const deviceField = section?.get('device');
    const device = reader.text(deviceField);
    if (deviceField !== undefined && device !== undefined && !peers.some((peer) => peer.name === device)) {
      reader.problem(deviceField, `${deviceField.name}: there is no peer named "${device}"`);
    }
    return cidr === undefined ? undefined : { cidr, device };
  });
  return openings.filter((opening) => opening !== undefined);
}
