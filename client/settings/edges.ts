/**
 * The edges that were imported, one file each, readable by the owner only: they hold private keys.
 * Files are parsed when read; commands in them (PostUp and the like) are never run.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { parseWgConfig, type WgConfig } from '../../shared/core/uapi/wg-config.ts';
import { decoyKeys } from '../../shared/core/uapi/wg-config-keys.ts';
import type { EdgePort, EdgeProfile } from '../driver/ports.ts';
import { writeAtomic } from './atomic-file.ts';
import { isEdgeName } from './schema.ts';

const maxEdges = 100;
const suffix = '.json';

/** The file of an edge. */
interface EdgeFile {
  readonly kind: 'wg-quick';
  /** RFC 3339. */
  readonly addedAt: string;
  /** The text of the file that was imported. */
  readonly conf: string;
}

export interface StoredEdge extends EdgeProfile {
  readonly addedAt: string;
}

export class EdgeStore implements EdgePort {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Newest first; files that cannot be read are left out. */
  list(): readonly StoredEdge[] {
    const edges = this.#names().flatMap((name) => {
      try {
        return [this.profile(name)];
      } catch {
        return []; // Named by `profile` when somebody asks for it.
      }
    });
    return edges.toSorted((a, b) => (a.addedAt < b.addedAt ? 1 : -1));
  }

  profile(name: string): StoredEdge {
    const { addedAt, conf } = this.#file(name);
    return { name, addedAt, config: parseEdgeConfig(conf) };
  }

  /** The file as it was added. Holds a private key. */
  conf(name: string): string {
    return this.#file(name).conf;
  }

  #file(name: string): EdgeFile {
    const text = isEdgeName(name) ? this.#read(name) : undefined;
    if (text === undefined)
      throw new CulvertError('unknown-edge', { text: `There is no edge named '${name}'.` });
    try {
      return JSON.parse(text) as EdgeFile;
    } catch (cause) {
      throw new CulvertError('bad-config', { text: `The file of edge '${name}' is damaged.`, cause });
    }
  }

  /** Adds or replaces. Throws 'bad-config' with every fault of the file. */
  add(
    name: string,
    conf: string,
    addedAt: string,
  ): { readonly edge: StoredEdge; readonly replaced: boolean } {
    if (!isEdgeName(name))
      throw new CulvertError('bad-edge-name', { text: `'${name}' is no valid name for an edge.` });
    const config = parseEdgeConfig(conf);
    const names = this.#names();
    const replaced = names.includes(name);
    if (!replaced && names.length >= maxEdges) throw new CulvertError('too-many-edges');
    const file: EdgeFile = { kind: 'wg-quick', addedAt, conf };
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeAtomic(this.#path(name), `${JSON.stringify(file)}\n`);
    return { edge: { name, addedAt, config }, replaced };
  }

  /** Forgets an edge and its keys. */
  remove(name: string): void {
    this.profile(name);
    rmSync(this.#path(name));
  }

  #path(name: string): string {
    return join(this.#folder, `${name}${suffix}`);
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#folder)
        .filter((file) => file.endsWith(suffix))
        .map((file) => file.slice(0, -suffix.length))
        .filter(isEdgeName);
    } catch {
      return []; // No folder yet: no edges.
    }
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(this.#path(name), 'utf8');
    } catch {
      return undefined; // No such edge, or not ours to read.
    }
  }
}

/** What the file holds and we do not do, one sentence each, values left out. */
export function ignoredParts(config: WgConfig): readonly string[] {
  const { table, fwmark, saveConfig, searchDomains, dns } = config.interface;
  return [
    ...config.ignored.map(
      ({ key, line }) =>
        `${key} on line ${line} is ignored: culvert ${decoyKeys.has(key.toLowerCase()) ? 'sends no decoys of that kind' : 'runs no commands from files'}.`,
    ),
    ...(table === undefined || table === 'auto'
      ? []
      : ['Table is ignored: culvert uses a table of its own.']),
    ...(fwmark === undefined || fwmark === 0 ? [] : ['FwMark is ignored: culvert uses a mark of its own.']),
    ...(saveConfig === true ? ['SaveConfig is ignored: culvert never writes into your file.'] : []),
    ...(dns.length + searchDomains.length > 0
      ? ['DNS is used in mode proxy only: this system keeps the servers it has.']
      : []),
  ];
}

function parseEdgeConfig(conf: string): WgConfig {
  const parsed = parseWgConfig(conf);
  if (parsed.kind === 'faults') {
    const lines = parsed.faults.map(({ line, text, remedy }) => `line ${line}: ${text} ${remedy}`);
    throw new CulvertError('bad-config', { text: `The file has errors: ${lines.join('; ')}` });
  }
  const { config } = parsed;
  if (config.interface.addresses.length === 0) {
    throw new CulvertError('bad-config', {
      text: 'The file names no Address for this machine.',
      remedy: 'Add Address = ADDRESS/LENGTH to its [Interface].',
    });
  }
  if (!config.peers.some((peer) => peer.endpoint !== undefined)) {
    throw new CulvertError('bad-config', {
      text: 'No [Peer] in the file has an Endpoint.',
      remedy: 'Add Endpoint = HOST:PORT to its [Peer].',
    });
  }
  return config;
}
