/** `culvert dns test`: one question as a program would ask it, and its answer in words. Pure but for the asking. */

import { formatAddress } from '../../shared/core/base/ip.ts';
import type { DnsTestAnswer } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { canonicalText, encodeName, formatName } from '../../shared/core/dns/name.ts';
import { type DnsMessage, type RecordView, readMessage, targetOf } from '../../shared/core/dns/reader.ts';
import { rcode, recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import type { PrivateDns } from './private-dns.ts';

const maxRecords = 64;

/** Types of records by the names that people write. */
const typeNames: ReadonlyMap<string, number> = new Map(
  Object.entries(recordType).map(([name, type]) => [name.toUpperCase(), type]),
);
const codeNames: ReadonlyMap<number, string> = new Map(
  Object.entries(rcode).map(([name, code]) => [code, name.toUpperCase()]),
);

/** 'A' for 1; 'TYPE1234' for one without a name. */
export function typeName(type: number): string {
  return [...typeNames].find(([, number]) => number === type)?.[0] ?? `TYPE${type}`;
}

export function codeName(code: number): string {
  return codeNames.get(code) ?? `RCODE${code}`;
}

/** The types that a test asks for. Throws 'bad-usage' for a word that is none. */
export function questionTypes(text: string | undefined): readonly number[] {
  if (text === undefined) return [recordType.a, recordType.aaaa];
  const word = text.toUpperCase();
  const type = typeNames.get(word) ?? Number(word.replace(/^TYPE/, ''));
  if (Number.isInteger(type) && type > 0 && type < 65_536) return [type];
  throw new CulvertError('bad-usage', { text: `'${text}' is no type of DNS record.` });
}

/** A question as bytes. Throws 'bad-usage' where `name` is none. */
export function questionFor(name: string, type: number): DnsMessage {
  const bytes = writeQuery({ id: 0, name: canonicalText(name), type, edns: { udpSize: 4096 } });
  const query = bytes === undefined || encodeName(name) === undefined ? undefined : readMessage(bytes);
  if (query === undefined) {
    throw new CulvertError('bad-usage', { text: `'${name}' is no name that DNS can have.` });
  }
  return query;
}

/** Asks as a program of this machine would. */
export async function answerOf(dns: PrivateDns, name: string, type: number): Promise<DnsTestAnswer> {
  const { bytes, origin, ms } = await dns.trace(questionFor(name, type));
  const answer = readMessage(bytes);
  return {
    type: typeName(type),
    code: codeName(answer?.rcode ?? rcode.servFail),
    records: answer === undefined ? [] : recordsOf(answer),
    origin,
    ms: Math.round(ms * 10) / 10,
  };
}

/**
 * What plain DNS of this network says otherwise, in one sentence. Different addresses alone are no lie: large sites
 * answer everybody differently. Undefined where it agrees, or there is nobody to ask.
 */
export async function compareWithNetwork(dns: PrivateDns, query: DnsMessage): Promise<string | undefined> {
  let plain: DnsMessage | undefined;
  try {
    plain = await dns.askNetwork(query);
  } catch {
    return 'The resolver of this network does not answer.';
  }
  const { bytes } = await dns.trace(query);
  const ours = readMessage(bytes);
  if (plain === undefined || ours === undefined || plain.rcode === ours.rcode) return undefined;
  const [theirs, own] = [codeName(plain.rcode), codeName(ours.rcode)];
  return `The resolver of this network says ${theirs}, and ours says ${own}: it may be tampering.`;
}

/** The answer's records as text: addresses and names are readable, others say how long they are. */
export function recordsOf(answer: DnsMessage): readonly string[] {
  return answer
    .answers()
    .slice(0, maxRecords)
    .map((record) => recordText(answer, record));
}

function recordText(answer: DnsMessage, record: RecordView): string {
  const value = answer.rdataOf(record);
  if (record.type === recordType.a && value.length === 4) return formatAddress(value);
  if (record.type === recordType.aaaa && value.length === 16) return formatAddress(value);
  const isName =
    record.type === recordType.cname || record.type === recordType.ns || record.type === recordType.ptr;
  const target = isName ? targetOf(answer, record) : undefined;
  if (target !== undefined) return `${typeName(record.type)} ${formatName(target)}`;
  return `${typeName(record.type)}, ${value.length} bytes`;
}
