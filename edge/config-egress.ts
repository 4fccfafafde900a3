/** The key `egress` of edge.yaml: which backend, which paths, what is closed and opened. */

import { type Prefix, parsePrefix } from '../shared/core/base/ip.ts';
import { type PathSurroundings, type PathsConfig, readPathsSection } from './config-paths.ts';
import type { ConfigReader, Field } from './config-reader.ts';
import { isInside } from './network.ts';

export interface Opening {
  readonly cidr: Prefix;
  /** Name of a device, of edge.yaml or enrolled; undefined: every device. */
  readonly device: string | undefined;
}

/** Who forwards: this host's kernel with a TUN interface, or this program with sockets of its own. */
export type EgressBackend = 'kernel' | 'userspace';

export interface EgressConfig extends PathsConfig {
  readonly backend: EgressBackend;
  /** Why that one, as half a sentence for people. */
  readonly backendReason: string;
  readonly closePrivate: boolean;
  readonly allow: readonly Opening[];
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
    allow: readOpenings(reader, section?.get('allow'), backend, surroundings),
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

function readOpenings(
  reader: ConfigReader,
  at: Field | undefined,
  backend: EgressBackend,
  surroundings: EgressSurroundings,
): readonly Opening[] {
  if (at === undefined) return [];
  const items = reader.list(at);
  if (items.length > maxOpenings) reader.problem(at, `${at.name} may have ${maxOpenings} entries at most`);
  const openings = items.slice(0, maxOpenings).map((item) => {
    const section = reader.section(item, { known: ['cidr', 'device'], required: ['cidr'] });
    const cidr = readCidr(reader, section?.get('cidr'), backend, surroundings.network);
    const deviceField = section?.get('device');
    // Devices enrol at any time: whether there is one of that name is known while the edge runs.
    const device = reader.name(deviceField);
    return cidr === undefined ? undefined : { cidr, device };
  });
  return openings.filter((opening) => opening !== undefined);
}

function readCidr(
  reader: ConfigReader,
  at: Field | undefined,
  backend: EgressBackend,
  network: readonly Prefix[],
): Prefix | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  const cidr = parsePrefix(text);
  if (cidr === undefined) {
    return reader.problem(at, `${at.name} must be an address or a prefix, for example 192.168.1.0/24`);
  }
  if (backend === 'userspace' && network.some((one) => isInside(cidr, one))) {
    return reader.problem(
      at,
      `${at.name}: ${text} is inside the tunnel; the userspace backend carries nothing between devices, ` +
        'only egress.backend: kernel does',
    );
  }
  return cidr;
}
