/** The keys `listen` and `certificate` of edge.yaml: ports of the tunnel, of the API and of the numbers. */

import { isIP } from 'node:net';
import { maxShards } from '../shared/core/tunnel/shards.ts';
import { parseHostPort } from '../shared/core/uapi/values.ts';
import { type AcmeConfig, readAcme } from './config-acme.ts';
import type { ConfigProblem, ConfigReader, Field } from './config-reader.ts';

export interface ListenConfig {
  /** At least as many as workers: worker `i` listens on the port at `i`, the rest is not served. */
  readonly udpPorts: readonly number[];
  /** Of the API that devices enrol with; empty: none. */
  readonly httpsPorts: readonly number[];
  /** Where the numbers and the health pages are; undefined: nowhere. */
  readonly metrics: ListenPlace | undefined;
}

export interface ListenPlace {
  /** Numeric, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Of the API, in PEM. Absent: one that the edge makes and devices pin. */
export interface CertificateConfig {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export const defaultUdpPort = 51820;
export const defaultHttpsPorts: readonly number[] = [443, 8443];
export const defaultMetrics: ListenPlace = { host: '127.0.0.1', port: 9586 };
const maxUdpPorts = maxShards;
const maxHttpsPorts = 8;
const listenKeys = { known: ['udp', 'https', 'metrics'] };

export function readListen(
  reader: ConfigReader,
  at: Field | undefined,
  workers: number,
  warnings: ConfigProblem[],
): ListenConfig {
  const section = at === undefined ? undefined : reader.section(at, listenKeys);
  const udp = section?.get('udp');
  const https = section?.get('https');
  return {
    udpPorts: udp === undefined ? [defaultUdpPort] : readUdp(reader, udp, workers, warnings),
    httpsPorts: https === undefined ? [] : readPorts(reader, https, maxHttpsPorts),
    metrics: readPlace(reader, section?.get('metrics')),
  };
}

export function readCertificate(
  reader: ConfigReader,
  at: Field | undefined,
  resolve: (path: string) => string,
): { readonly certificate: CertificateConfig | undefined; readonly acme: AcmeConfig | undefined } {
  const none = { certificate: undefined, acme: undefined };
  const section =
    at === undefined ? undefined : reader.section(at, { known: ['certificateFile', 'keyFile', 'acme'] });
  if (at === undefined || section === undefined) return none;
  const [file, key, acme] = [section.get('certificateFile'), section.get('keyFile'), section.get('acme')];
  if (acme !== undefined) {
    if (file === undefined && key === undefined)
      return { certificate: undefined, acme: readAcme(reader, acme, resolve) };
    reader.problem(at, `${at.name} has either files or acme, not both`);
    return none;
  }
  if (file === undefined) reader.problem(at, `${at.name}.certificateFile is missing`);
  if (key === undefined) reader.problem(at, `${at.name}.keyFile is missing`);
  const certificateFile = reader.text(file);
  const keyFile = reader.text(key);
  if (certificateFile === undefined || keyFile === undefined) return none;
  const certificate = { certificateFile: resolve(certificateFile), keyFile: resolve(keyFile) };
  return { certificate, acme: undefined };
}

function readUdp(
  reader: ConfigReader,
  udp: Field,
  workers: number,
  warnings: ConfigProblem[],
): readonly number[] {
  const ports = readPorts(reader, udp, maxUdpPorts);
  if (reader.list(udp).length === 0)
    reader.problem(udp, `${udp.name} needs a port, for example [${defaultUdpPort}]`);
  if (ports.length > workers) {
    const [served, rest] = [ports.slice(0, workers).join(', '), ports.slice(workers).join(', ')];
    const verb = workers === 1 ? 'is' : 'are';
    warnings.push({ line: udp.line, text: `of ${udp.name}, only ${served} ${verb} served yet; not ${rest}` });
  }
  return ports;
}

function readPorts(reader: ConfigReader, at: Field, most: number): readonly number[] {
  const items = reader.list(at);
  if (items.length > most) reader.problem(at, `${at.name} may have ${most} ports at most`);
  const ports = items.map((item) => reader.integer(item, 1, 65_535)).filter((port) => port !== undefined);
  if (new Set(ports).size !== ports.length) reader.problem(at, `${at.name} names a port twice`);
  return ports;
}

function readPlace(reader: ConfigReader, at: Field | undefined): ListenPlace | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined || text === 'off') return undefined;
  const place = parseHostPort(text);
  if (place !== undefined && isIP(place.host) !== 0) return place;
  return reader.problem(at, `${at.name} must be an address and a port, for example "127.0.0.1:9586", or off`);
}
