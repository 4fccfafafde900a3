/**
 * What this machine keeps about its enrolment with an edge, beside the edge's own file: how the API is
 * reached and the secret that opens it. One file each, for the owner alone.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { parsePin } from '../../shared/core/registration/invite.ts';
import { isToken } from '../../shared/core/registration/tokens.ts';
import { writeAtomic } from '../settings/atomic-file.ts';
import { isEdgeName } from '../settings/schema.ts';

export interface Registration {
  /** Of the device at the edge. */
  readonly deviceId: string;
  readonly bearer: string;
  /** Of the API. */
  readonly host: string;
  readonly port: number;
  /** All that the edge named; absent: nobody asked it. */
  readonly udpPorts?: readonly number[];
  readonly httpsPorts?: readonly number[];
  /** 'sha256/…' */
  readonly pin: string;
  /** The edge's WireGuard key, base64. */
  readonly edgeKey: string;
  /** RFC 3339. */
  readonly enrolledAt: string;
}

const suffix = '.json';
const fileVersion = 1;

export class RegistrationStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Names of edges that this machine is enrolled with. */
  names(): readonly string[] {
    try {
      const files = readdirSync(this.#folder).filter((file) => file.endsWith(suffix));
      return files.map((file) => file.slice(0, -suffix.length)).filter(isEdgeName);
    } catch {
      return []; // No folder yet: never enrolled.
    }
  }

  /** Undefined where the edge was imported, not enrolled with. Throws 'bad-config' for a damaged file. */
  find(edge: string): Registration | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path(edge), 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new CulvertError('file-unreadable', { cause });
    }
    const registration = parse(text);
    if (registration === undefined) {
      throw new CulvertError('bad-config', { text: `The registration with edge '${edge}' is damaged.` });
    }
    return registration;
  }

  require(edge: string): Registration {
    const found = this.find(edge);
    if (found === undefined) throw new CulvertError('not-registered');
    return found;
  }

  save(edge: string, registration: Registration): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeAtomic(this.#path(edge), `${JSON.stringify({ version: fileVersion, ...registration })}\n`);
  }

  remove(edge: string): void {
    rmSync(this.#path(edge), { force: true });
  }

  #path(edge: string): string {
    if (!isEdgeName(edge))
      throw new CulvertError('unknown-edge', { text: `'${edge}' is no name of an edge.` });
    return join(this.#folder, `${edge}${suffix}`);
  }
}

function arePorts(ports: readonly number[] | undefined): boolean {
  return ports === undefined || (Array.isArray(ports) && ports.every((port) => Number.isInteger(port)));
}

function parse(text: string): Registration | undefined {
  try {
    const { version, ...found } = JSON.parse(text) as Registration & { version?: unknown };
    const { deviceId, bearer, host, port, pin, edgeKey, enrolledAt } = found;
    const texts = [deviceId, host, edgeKey, enrolledAt];
    const isWhole = texts.every((one) => typeof one === 'string') && Number.isInteger(port);
    const isOpen = arePorts(found.udpPorts) && arePorts(found.httpsPorts);
    const isUsable = isWhole && isOpen && isToken('device', bearer) && parsePin(pin) !== undefined;
    return version === fileVersion && isUsable ? found : undefined;
  } catch {
    return undefined; // Told by the caller, who knows which file it was.
  }
}
