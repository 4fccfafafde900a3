/** The key `egress` of edge.yaml: which backend, which paths, what is closed and opened. */

import { type Prefix, parsePrefix } from '../shared/core/base/ip.ts';
import { type PathSurroundings, type PathsConfig, readPathsSection } from './config-paths.ts';
import type { ConfigReader, Field } from './config-reader.ts';

export interface Opening {
  readonly cidr: Prefix;
  /** Name of a device, of edge.yaml or enrolled; undefined: every device. */
  readonly device: string | undefined;
}

/** A device that may open connections to another, which may answer. By name, whoever has it now. */
export interface DevicePair {
  /** Undefined: every device. */
  readonly device: string | undefined;
  readonly to: string;
}

/** A device that an entry speaks of. */
export interface NamedDevice {
  readonly name: string;
  /** Of the list, from 1. */
  readonly entry: number;
}

/** What `egress.allow` says. */
export interface AllowConfig {
  /** Places. */
  readonly allow: readonly Opening[];
  readonly pairs: readonly DevicePair[];
  readonly allowNames: readonly NamedDevice[];
}

/** Who forwards: this host's kernel with a TUN interface, or this program with sockets of its own. */
export type EgressBackend = 'kernel' | 'userspace';

export interface EgressConfig extends PathsConfig, AllowConfig {
  readonly backend: EgressBackend;
  /** Why that one, as half a sentence for people. */
  readonly backendReason: string;
  readonly closePrivate: boolean;
}

/** What the section is read against. */
export interface EgressSurroundings {
  /** Half a sentence: why the kernel cannot be used here; undefined where it can. */
  readonly kernelMissing: string | undefined;
  /** Of the tunnel. */
  readonly network: readonly Prefix[];
  readonly readSecretText: PathSurroundings['readSecretText'];
}

const maxOpenings = 256;
const denyWords = ['private', 'link-local', 'metadata'] as const;

export function readEgress(
  reader: ConfigReader,
  at: Field | undefined,
  surroundings: EgressSurroundings,
): EgressConfig {
  const keys = { known: ['backend', 'paths', 'probe', 'rules', 'deny', 'allow'] };
  const section = at === undefined ? undefined : reader.section(at, keys);
  const chosen = chooseBackend(
    reader.choice(section?.get('backend'), ['auto', 'kernel', 'userspace']) ?? 'auto',
    surroundings.kernelMissing,
  );
  const { backend } = chosen;
  const ways = readPathsSection(reader, section, { backend, readSecretText: surroundings.readSecretText });
  const deny = section?.get('deny');
  const words =
    deny === undefined ? denyWords : reader.list(deny).map((one) => reader.choice(one, denyWords));
  return {
    ...chosen,
    ...ways,
    closePrivate: words.includes('private'),
    ...readAllow(reader, section?.get('allow')),
  };
}

function chooseBackend(
  wanted: 'auto' | EgressBackend,
  kernelMissing: string | undefined,
): Pick<EgressConfig, 'backend' | 'backendReason'> {
  if (wanted !== 'auto') return { backend: wanted, backendReason: 'edge.yaml asks for it' };
  if (kernelMissing === undefined) return { backend: 'kernel', backendReason: 'this program may use it' };
  return { backend: 'userspace', backendReason: kernelMissing };
}

function readAllow(reader: ConfigReader, at: Field | undefined): AllowConfig {
  const items = at === undefined ? [] : reader.list(at);
  if (at !== undefined && items.length > maxOpenings) {
    reader.problem(at, `${at.name} may have ${maxOpenings} entries at most`);
  }
  const allow: Opening[] = [];
  const pairs: DevicePair[] = [];
  const allowNames: NamedDevice[] = [];
  for (const [i, item] of items.slice(0, maxOpenings).entries()) {
    const section = reader.section(item, { known: ['cidr', 'device', 'to'] });
    if (section === undefined) continue;
    const cidrField = section.get('cidr');
    const toField = section.get('to');
    // Devices enrol at any time: whether there is one of that name is known while the edge runs.
    const device = reader.name(section.get('device'));
    const to = reader.name(toField);
    const cidr = readCidr(reader, cidrField);
    if ((cidrField === undefined) === (toField === undefined)) {
      reader.problem(item, `${item.name} needs cidr, a place, or to, the name of a device: one of the two`);
      continue;
    }
    for (const name of [device, to]) if (name !== undefined) allowNames.push({ name, entry: i + 1 });
    if (toField !== undefined && to !== undefined) {
      if (to === device)
        reader.problem(toField, `${toField.name} is the device itself, which needs no opening`);
      else pairs.push({ device, to });
    }
    if (cidr !== undefined) allow.push({ cidr, device });
  }
  return { allow, pairs, allowNames };
}

function readCidr(reader: ConfigReader, at: Field | undefined): Prefix | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  const cidr = parsePrefix(text);
  if (cidr === undefined) {
    return reader.problem(at, `${at.name} must be an address or a prefix, for example 192.168.1.0/24`);
  }
  return cidr;
}
