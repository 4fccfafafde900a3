/**
 * Records of type SVCB (RFC 9460 §2.2) as far as they tell where a resolver is asked in private (RFC 9461, RFC 9462).
 * Everything else passes as bytes and is never looked at.
 */

import { readU16BE } from '../base/bytes.ts';
import { decodeName, skipName } from './name.ts';
import type { DnsMessage } from './reader.ts';
import { recordType } from './types.ts';

/** One way to a service. */
export interface ServiceBinding {
  /** The least first; never 0, which is an alias. */
  readonly priority: number;
  /** Text; '.' is the owner itself. */
  readonly target: string;
  readonly alpn: readonly string[];
  readonly port: number | undefined;
  /** Hints, IPv4 first: 4 or 16 bytes each, copies. */
  readonly addresses: readonly Uint8Array[];
  /** Template of a URL's path, with `{?dns}`. */
  readonly dohPath: string | undefined;
}

const key = {
  mandatory: 0,
  alpn: 1,
  noDefaultAlpn: 2,
  port: 3,
  ipv4Hint: 4,
  ipv6Hint: 6,
  dohPath: 7,
} as const;
const knownKeys: ReadonlySet<number> = new Set(Object.values(key));
/** Most parameters, protocols and addresses that are looked at. */
const maxParts = 32;

/** The ways that an answer tells, in the order in which they are to be tried. */
export function serviceBindings(answer: DnsMessage): readonly ServiceBinding[] {
  return answer
    .answers()
    .filter((record) => record.type === recordType.svcb)
    .slice(0, maxParts)
    .flatMap((record) => readServiceBinding(answer.rdataOf(record)) ?? [])
    .toSorted((a, b) => a.priority - b.priority);
}

/** Undefined for an alias, what is malformed, and what needs something that is unknown here (RFC 9460 §8). */
export function readServiceBinding(rdata: Uint8Array): ServiceBinding | undefined {
  const priority = rdata.length < 3 ? 0 : readU16BE(rdata, 0);
  const nameEnd = skipName(rdata, 2);
  const target = decodeName(rdata, 2);
  const parameters = nameEnd < 0 ? undefined : readParameters(rdata, nameEnd);
  if (priority === 0 || target === undefined || parameters === undefined) return undefined;
  const needed = numbersIn(parameters.get(key.mandatory) ?? new Uint8Array(0));
  if (needed?.every((one) => knownKeys.has(one) && parameters.has(one)) !== true) return undefined;
  const port = parameters.get(key.port);
  const hints4 = piecesOf(parameters.get(key.ipv4Hint), 4);
  const hints6 = piecesOf(parameters.get(key.ipv6Hint), 16);
  const alpn = stringsIn(parameters.get(key.alpn) ?? new Uint8Array(0));
  const path = parameters.get(key.dohPath);
  if (hints4 === undefined || hints6 === undefined || alpn === undefined) return undefined;
  if (port !== undefined && port.length !== 2) return undefined;
  return {
    priority,
    target,
    alpn,
    port: port === undefined ? undefined : readU16BE(port, 0),
    addresses: [...hints4, ...hints6],
    dohPath: path === undefined ? undefined : asciiText(path),
  };
}

/** By their keys, which must rise. */
function readParameters(rdata: Uint8Array, start: number): ReadonlyMap<number, Uint8Array> | undefined {
  const found = new Map<number, Uint8Array>();
  let last = -1;
  for (let at = start; at < rdata.length; ) {
    if (at + 4 > rdata.length || found.size >= maxParts) return undefined;
    const number = readU16BE(rdata, at);
    const end = at + 4 + readU16BE(rdata, at + 2);
    if (number <= last || end > rdata.length) return undefined;
    found.set(number, rdata.subarray(at + 4, end));
    last = number;
    at = end;
  }
  return found;
}

function numbersIn(bytes: Uint8Array): readonly number[] | undefined {
  return piecesOf(bytes, 2)?.map((piece) => readU16BE(piece, 0));
}

function piecesOf(bytes: Uint8Array | undefined, size: number): readonly Uint8Array[] | undefined {
  if (bytes === undefined) return [];
  if (bytes.length % size !== 0) return undefined;
  const count = Math.min(bytes.length / size, maxParts);
  return Array.from({ length: count }, (_, i) => bytes.slice(i * size, (i + 1) * size));
}

/** Each behind its length (RFC 9460 §7.1). */
function stringsIn(bytes: Uint8Array): readonly string[] | undefined {
  const found: string[] = [];
  for (let at = 0; at < bytes.length && found.length < maxParts; ) {
    const end = at + 1 + bytes[at]!;
    if (bytes[at] === 0 || end > bytes.length) return undefined;
    found.push(asciiText(bytes.subarray(at + 1, end)));
    at = end;
  }
  return found;
}

function asciiText(bytes: Uint8Array): string {
  return [...bytes].map((code) => (code > 32 && code < 127 ? String.fromCharCode(code) : '?')).join('');
}
