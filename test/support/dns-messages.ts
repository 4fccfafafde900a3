// Makes DNS messages for tests, with real compression: every owner that was written before becomes a pointer.

import { concat, writeU16BE, writeU32BE } from '../../shared/core/base/bytes.ts';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { encodeName } from '../../shared/core/dns/name.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import { ednsOption, flag, recordType } from '../../shared/core/dns/types.ts';
import { type QueryRequest, writeOpt, writeQuery } from '../../shared/core/dns/writer.ts';

export interface TestRecord {
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  readonly rdata: Uint8Array;
}

export interface TestAnswer {
  readonly id?: number;
  readonly name: string;
  readonly type: number;
  /** Default: response, RD, RA. */
  readonly flags?: number;
  readonly rcode?: number;
  readonly answers?: readonly TestRecord[];
  readonly authority?: readonly TestRecord[];
  readonly additional?: readonly TestRecord[];
  /** Adds OPT with these options. */
  readonly options?: Uint8Array;
  readonly opt?: boolean;
}

export function nameBytes(text: string): Uint8Array {
  const wire = encodeName(text);
  if (wire === undefined) throw new Error(`${text} is no name`);
  return wire;
}

export function a(name: string, address: string, ttl = 300): TestRecord {
  const rdata = parseAddress(address);
  if (rdata === undefined) throw new Error(`${address} is no address`);
  return { name, type: rdata.length === 4 ? recordType.a : recordType.aaaa, ttl, rdata };
}

export function cname(name: string, target: string, ttl = 300): TestRecord {
  return { name, type: recordType.cname, ttl, rdata: nameBytes(target) };
}

export function txt(name: string, size: number, ttl = 300, fill = 120): TestRecord {
  const rdata = new Uint8Array(size + 1).fill(fill);
  rdata[0] = size;
  return { name, type: recordType.txt, ttl, rdata };
}

export function soa(name: string, ttl: number, minimum: number): TestRecord {
  const numbers = new Uint8Array(20);
  writeU32BE(numbers, 16, minimum);
  const rdata = concat(nameBytes(`ns.${name}`), nameBytes(`root.${name}`), numbers);
  return { name, type: recordType.soa, ttl, rdata };
}

export function testAnswer(answer: TestAnswer): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 12;
  const seen = new Map<string, number>();
  const push = (bytes: Uint8Array): void => {
    parts.push(bytes);
    length += bytes.length;
  };
  const pushName = (name: string): void => {
    const known = seen.get(name);
    if (known === undefined) {
      seen.set(name, length);
      push(nameBytes(name));
    } else push(Uint8Array.of(0xc0 | (known >> 8), known & 0xff));
  };
  pushName(answer.name);
  const tail = new Uint8Array(4);
  writeU16BE(tail, 0, answer.type);
  writeU16BE(tail, 2, 1);
  push(tail);
  const sections = [answer.answers ?? [], answer.authority ?? [], answer.additional ?? []];
  for (const record of sections.flat()) {
    pushName(record.name);
    const fixed = new Uint8Array(10);
    writeU16BE(fixed, 0, record.type);
    writeU16BE(fixed, 2, 1);
    writeU32BE(fixed, 4, record.ttl);
    writeU16BE(fixed, 8, record.rdata.length);
    push(fixed);
    push(record.rdata);
  }
  const withOpt = answer.opt === true || answer.options !== undefined;
  if (withOpt) {
    const options = answer.options ?? new Uint8Array(0);
    push(writeOpt({ udpSize: 1232, dnssecOk: false, options, before: length }));
  }
  const header = new Uint8Array(12);
  const flags = answer.flags ?? flag.response | flag.recursionDesired | flag.recursionAvailable;
  writeU16BE(header, 0, answer.id ?? 0);
  writeU16BE(header, 2, flags | (answer.rcode ?? 0));
  writeU16BE(header, 4, 1);
  for (const [i, records] of sections.entries()) {
    writeU16BE(header, 6 + 2 * i, records.length + (i === 2 && withOpt ? 1 : 0));
  }
  return concat(header, ...parts);
}

/** The message, or a failure of the test. */
export function parsed(bytes: Uint8Array | undefined): DnsMessage {
  const message = bytes === undefined ? undefined : readMessage(bytes);
  if (message === undefined) throw new Error('no DNS message');
  return message;
}

export function testQuery(name: string, type: number, more: Partial<QueryRequest> = {}): DnsMessage {
  return parsed(writeQuery({ id: 0x1234, name, type, ...more }));
}

export function option(code: number, bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(4);
  writeU16BE(header, 0, code);
  writeU16BE(header, 2, bytes.length);
  return concat(header, bytes);
}

export function extendedErrorCodes(message: DnsMessage): number[] {
  return message
    .options()
    .filter((entry) => entry.code === ednsOption.extendedError)
    .map((entry) => (entry.bytes[0]! << 8) | entry.bytes[1]!);
}
