/**
 * The keys egress.paths, egress.probe and egress.rules of edge.yaml (product.md §6): read and checked, with all
 * errors and their lines; what a backend cannot do is refused with the reason. Files come through functions.
 */

import { type Prefix, parseAddress, parseEndpoint, parsePrefix } from '../shared/core/base/ip.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import type { FlowEnd } from '../shared/core/netstack/events.ts';
import { isHostName } from '../shared/core/uapi/values.ts';
import { parseWgConfig } from '../shared/core/uapi/wg-config.ts';
import type { EgressBackend } from './config-egress.ts';
import type { ConfigReader, Field, Section } from './config-reader.ts';
import { type PathType, pathTypes } from './egress/path.ts';
import type { Login } from './egress/path-http.ts';
import type { HopConfig } from './egress/path-wireguard.ts';
import type { ProbePlan } from './egress/probe.ts';
import type { EgressRule, RuleMatch } from './egress/rules.ts';
import { maxSocksText } from './egress/socks5-messages.ts';

/** Can be cloned between threads. Holds secrets: not for logs nor status. */
export type PathConfig =
  | { readonly id: string; readonly type: 'direct' }
  | {
      readonly id: string;
      readonly type: 'source';
      readonly address: string | undefined;
      readonly interfaceName: string | undefined;
    }
  | { readonly id: string; readonly type: 'wireguard'; readonly hop: HopConfig }
  | {
      readonly id: string;
      readonly type: 'socks5' | 'http';
      readonly server: FlowEnd;
      readonly login: Login | undefined;
      readonly tellNames: boolean;
    }
  | { readonly id: string; readonly type: 'block'; readonly how: 'drop' | 'reject' };

export interface PathsConfig {
  /** At least one that carries flows. */
  readonly paths: readonly PathConfig[];
  readonly probe: ProbePlan;
  readonly rules: readonly EgressRule[];
}

export interface PathSurroundings {
  readonly backend: EgressBackend;
  /** Text of a file that others cannot read; throws CulvertError where it is missing, or open to others. */
  readonly readSecretText: (path: string) => string;
}

export const directOnly: readonly PathConfig[] = [{ id: 'direct', type: 'direct' }];
/** Without a line of its own nobody is asked: an edge contacts no address that it was not told. */
export const noProbe: ProbePlan = { everyMs: 10_000, targets: [] };

const maxPaths = 64;
const maxRules = 1000;
const maxTargets = 8;
const leastEveryMs = 1000;
const mostEveryMs = 3_600_000;
const usualHopMtu = 1420;
const leastHopMtu = 1280;
const settingsOf: Readonly<Record<PathType, readonly string[]>> = {
  direct: [],
  source: ['address', 'interface'],
  wireguard: ['config'],
  socks5: ['server', 'username', 'passwordFile', 'names'],
  http: ['server', 'username', 'passwordFile', 'names'],
  block: ['how'],
};
const allSettings = [...new Set(Object.values(settingsOf).flat())];
/** What packets can take; the others carry connections alone. */
const kernelTypes: ReadonlySet<PathType> = new Set(['direct', 'source', 'wireguard', 'block']);

export function readPathsSection(
  reader: ConfigReader,
  section: Section | undefined,
  surroundings: PathSurroundings,
): PathsConfig {
  const paths = readPaths(reader, section?.get('paths'), surroundings);
  const ids = new Set(paths.map((path) => path.id));
  return {
    paths,
    probe: readProbe(reader, section?.get('probe')),
    rules: readRules(reader, section?.get('rules'), ids),
  };
}

/** '10s', '500ms', '2m', '1h' → milliseconds. */
export function parseDuration(text: string): number | undefined {
  const found = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
  const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[found?.[2] ?? ''];
  return found === null || scale === undefined ? undefined : Number(found[1]) * scale;
}

function readPaths(
  reader: ConfigReader,
  at: Field | undefined,
  surroundings: PathSurroundings,
): readonly PathConfig[] {
  if (at === undefined) return directOnly;
  const items = reader.list(at);
  if (items.length > maxPaths) reader.problem(at, `${at.name} may have ${maxPaths} entries at most`);
  const paths: PathConfig[] = [];
  for (const item of items.slice(0, maxPaths)) {
    const path = readPath(reader, item, surroundings);
    if (path === undefined) continue;
    if (paths.some((one) => one.id === path.id))
      reader.problem(item, `${item.name}: the id ${path.id} is taken`);
    else paths.push(path);
  }
  const carries =
    items.length > 0 && (paths.length < items.length || paths.some((one) => one.type !== 'block'));
  if (!carries)
    reader.problem(at, `${at.name} needs a path that carries, for example { id: direct, type: direct }`);
  return paths;
}

function readPath(reader: ConfigReader, item: Field, surroundings: PathSurroundings): PathConfig | undefined {
  const section = reader.section(item, { known: ['id', 'type', ...allSettings], required: ['id', 'type'] });
  const typeField = section?.get('type');
  const type = reader.choice(typeField, pathTypes);
  const id = readId(reader, section?.get('id'));
  if (section === undefined || typeField === undefined || type === undefined) return undefined;
  for (const key of allSettings) {
    const field = section.get(key);
    if (field === undefined || settingsOf[type].includes(key)) continue;
    reader.problem(field, `${field.name} does not belong to a path of type ${type}`);
  }
  if (surroundings.backend === 'kernel' && !kernelTypes.has(type)) {
    return reader.problem(
      typeField,
      `${typeField.name}: a proxy carries connections, and the kernel forwards packets; ${type} needs egress.backend: userspace`,
    );
  }
  return id === undefined ? undefined : readTyped(reader, item, { section, type, id, surroundings });
}

interface TypedPath {
  readonly section: Section;
  readonly type: PathType;
  readonly id: string;
  readonly surroundings: PathSurroundings;
}

function readTyped(reader: ConfigReader, item: Field, typed: TypedPath): PathConfig | undefined {
  const { section, type, id, surroundings } = typed;
  switch (type) {
    case 'direct':
      return { id, type };
    case 'block':
      return { id, type, how: reader.choice(section.get('how'), ['drop', 'reject']) ?? 'drop' };
    case 'source':
      return readSource(reader, item, section, id);
    case 'wireguard': {
      const hop = readHop(reader, item, section, surroundings);
      return hop === undefined ? undefined : { id, type, hop };
    }
    default: {
      const server = readServer(reader, item, section.get('server'));
      const login = readLogin(reader, item, section, surroundings);
      const tellNames = readFlag(reader, section.get('names'));
      return server === undefined ? undefined : { id, type, server, login, tellNames };
    }
  }
}

function readId(reader: ConfigReader, at: Field | undefined): string | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  if (text === 'auto')
    return reader.problem(at, `${at.name}: auto means every path, no path may have that name`);
  if (/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,31}$/.test(text)) return text;
  return reader.problem(at, `${at.name} must be 1 to 32 letters, digits, dots, dashes or underscores`);
}

function readSource(reader: ConfigReader, item: Field, section: Section, id: string): PathConfig | undefined {
  const addressField = section.get('address');
  const address = reader.text(addressField);
  const interfaceField = section.get('interface');
  const interfaceName = reader.text(interfaceField);
  if (addressField === undefined && interfaceField === undefined) {
    return reader.problem(item, `${item.name} needs address, interface or both`);
  }
  if (addressField !== undefined && address !== undefined && parseAddress(address) === undefined) {
    return reader.problem(addressField, `${addressField.name} must be a numeric address of this machine`);
  }
  if (interfaceField !== undefined && interfaceName !== undefined && !/^[^\s/]{1,15}$/.test(interfaceName)) {
    return reader.problem(interfaceField, `${interfaceField.name} must be the name of a network interface`);
  }
  return { id, type: 'source', address, interfaceName };
}

function readServer(reader: ConfigReader, item: Field, at: Field | undefined): FlowEnd | undefined {
  if (at === undefined) return reader.problem(item, `${item.name}.server is missing`);
  const text = reader.text(at);
  if (text === undefined) return undefined;
  const endpoint = parseEndpoint(text);
  const address = endpoint === undefined ? undefined : parseAddress(endpoint.address);
  if (endpoint !== undefined && address !== undefined) return { address, port: endpoint.port };
  return reader.problem(at, `${at.name} must be a numeric address and a port, for example "10.1.2.3:1080"`);
}

function readLogin(
  reader: ConfigReader,
  item: Field,
  section: Section,
  surroundings: PathSurroundings,
): Login | undefined {
  const nameField = section.get('username');
  const fileField = section.get('passwordFile');
  if (nameField === undefined && fileField === undefined) return undefined;
  if (nameField === undefined || fileField === undefined) {
    return reader.problem(item, `${item.name} needs username and passwordFile, or neither`);
  }
  const username = reader.text(nameField);
  const password = readFile(reader, fileField, surroundings)?.replace(/\r?\n$/, '');
  if (username === undefined || password === undefined) return undefined;
  const sizes = [username, password].map((text) => Buffer.byteLength(text));
  if (sizes.some((size) => size < 1 || size > maxSocksText) || username.includes(':')) {
    const text = `1 to ${maxSocksText} bytes each, and no colon in the name`;
    return reader.problem(nameField, `${item.name}: user name and password must have ${text}`);
  }
  return { username, password };
}

function readFlag(reader: ConfigReader, at: Field | undefined): boolean {
  if (at === undefined) return false;
  const value = (at.node as { readonly value?: unknown } | null)?.value;
  if (typeof value === 'boolean') return value;
  reader.problem(at, `${at.name} must be true or false`);
  return false;
}

function readFile(reader: ConfigReader, at: Field, surroundings: PathSurroundings): string | undefined {
  const path = reader.text(at);
  if (path === undefined) return undefined;
  try {
    return surroundings.readSecretText(path);
  } catch (cause) {
    if (!(cause instanceof CulvertError)) throw cause;
    return reader.problem(at, `${at.name}: ${cause.message}`);
  }
}

function readHop(
  reader: ConfigReader,
  item: Field,
  section: Section,
  surroundings: PathSurroundings,
): HopConfig | undefined {
  const at = section.get('config');
  if (at === undefined) return reader.problem(item, `${item.name}.config is missing`);
  const text = readFile(reader, at, surroundings);
  if (text === undefined) return undefined;
  const parsed = parseWgConfig(text);
  if (parsed.kind === 'faults') {
    const [first] = parsed.faults;
    return reader.problem(at, `${at.name}: line ${first?.line ?? 0} of that file: ${first?.text ?? ''}`);
  }
  const { interface: own, peers } = parsed.config;
  const addresses = own.addresses.flatMap((address) => parsePrefix(address)?.address ?? []);
  const whole = own.addresses.flatMap((address) => parseAddress(address.split('/')[0] ?? '') ?? []);
  const noise = own.disguise?.prefix.transport ?? 0;
  const problem = hopProblem(addresses.length, peers);
  if (problem !== undefined || own.privateKey === undefined) {
    return reader.problem(at, `${at.name}: ${problem ?? 'that file has no key'}`);
  }
  return {
    privateKey: own.privateKey,
    addresses: whole,
    mtu: Math.max(leastHopMtu, own.mtu ?? usualHopMtu - noise),
    disguise: own.disguise,
    peers: peers.map((peer) => ({
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      host: peer.endpoint?.host ?? '',
      port: peer.endpoint?.port ?? 0,
      persistentKeepalive: peer.persistentKeepalive ?? 0,
      allowedIps: peer.allowedIps.flatMap((one) => parsePrefix(one) ?? []),
      allowedTexts: peer.allowedIps,
    })),
  };
}

function hopProblem(
  addresses: number,
  peers: readonly { readonly endpoint?: unknown; readonly allowedIps: readonly string[] }[],
): string | undefined {
  if (addresses === 0) return 'that file gives this side no Address';
  if (peers.length === 0) return 'that file has no [Peer]';
  if (peers.some((peer) => peer.endpoint === undefined)) return 'a [Peer] of that file has no Endpoint';
  if (peers.every((peer) => peer.allowedIps.length === 0)) return 'no [Peer] of that file has AllowedIPs';
  return undefined;
}

function readProbe(reader: ConfigReader, at: Field | undefined): ProbePlan {
  if (at === undefined) return noProbe;
  const section = reader.section(at, { known: ['every', 'targets'] });
  const everyField = section?.get('every');
  const everyText = reader.text(everyField);
  const everyMs = everyText === undefined ? noProbe.everyMs : parseDuration(everyText);
  if (
    everyField !== undefined &&
    (everyMs === undefined || everyMs < leastEveryMs || everyMs > mostEveryMs)
  ) {
    reader.problem(everyField, `${everyField.name} must be a time from 1s to 1h, for example 10s`);
  }
  const targetsField = section?.get('targets');
  const items = targetsField === undefined ? [] : reader.list(targetsField);
  if (targetsField !== undefined && items.length > maxTargets) {
    reader.problem(targetsField, `${targetsField.name} may have ${maxTargets} entries at most`);
  }
  const targets = items.slice(0, maxTargets).map((item) => readServer(reader, item, item));
  return { everyMs: everyMs ?? noProbe.everyMs, targets: targets.filter((one) => one !== undefined) };
}

function readRules(
  reader: ConfigReader,
  at: Field | undefined,
  ids: ReadonlySet<string>,
): readonly EgressRule[] {
  if (at === undefined) return [];
  const items = reader.list(at);
  if (items.length > maxRules) reader.problem(at, `${at.name} may have ${maxRules} entries at most`);
  const rules = items.slice(0, maxRules).map((item, i) => {
    const section = reader.section(item, { known: ['match', 'use'], required: ['use'] });
    const useField = section?.get('use');
    const use = reader.text(useField);
    if (useField === undefined || use === undefined) return undefined;
    if (use !== 'auto' && !ids.has(use)) {
      return reader.problem(
        useField,
        `${useField.name}: there is no path "${use}"; there are ${[...ids].join(', ')}`,
      );
    }
    const match = readMatch(reader, section?.get('match'));
    const isLast = i === items.length - 1;
    if (match !== undefined && Object.keys(match).length === 0 && !isLast) {
      return reader.problem(item, `${item.name} matches everything: the rules below it are never asked`);
    }
    return match === undefined ? undefined : { match, use };
  });
  return rules.filter((rule) => rule !== undefined);
}

function readMatch(reader: ConfigReader, at: Field | undefined): RuleMatch | undefined {
  if (at === undefined) return {};
  const section = reader.section(at, { known: ['device', 'tag', 'cidr', 'port', 'host'] });
  if (section === undefined) return undefined;
  const device = reader.text(section.get('device'));
  const tag = reader.text(section.get('tag'));
  const port = reader.integer(section.get('port'), 1, 65_535);
  const cidr = readCidr(reader, section.get('cidr'));
  const host = readHost(reader, section.get('host'));
  return {
    ...(device === undefined ? {} : { device }),
    ...(tag === undefined ? {} : { tag }),
    ...(port === undefined ? {} : { port }),
    ...(cidr === undefined ? {} : { cidr }),
    ...(host === undefined ? {} : { host }),
  };
}

function readCidr(reader: ConfigReader, at: Field | undefined): Prefix | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  return (
    parsePrefix(text) ??
    reader.problem(at, `${at.name} must be an address or a prefix, for example 10.0.0.0/8`)
  );
}

function readHost(reader: ConfigReader, at: Field | undefined): string | undefined {
  const text = reader.text(at)?.toLowerCase().replace(/\.$/, '');
  if (at === undefined || text === undefined) return undefined;
  const name = text.startsWith('*.') ? text.slice(2) : text;
  if (isHostName(name) && parseAddress(name) === undefined) return text;
  return reader.problem(
    at,
    `${at.name} must be a name, or *. and a name for all below it; addresses go into cidr`,
  );
}
