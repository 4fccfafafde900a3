/** What the main thread may ask the flow worker about its paths, and the answers. All of it can be cloned. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { ToldName } from '../../shared/core/registration/names-api.ts';
import type { EgressPaths, PathStatus } from './egress-paths.ts';
import type { KnownName } from './rules.ts';
import type { Explanation } from './sentence.ts';

export type PathsQuestion =
  | { readonly what: 'list' }
  | { readonly what: 'probe'; readonly path: string | undefined }
  | { readonly what: 'drain'; readonly path: string; readonly isDrained: boolean }
  /** What a device's own resolver has answered it. */
  | { readonly what: 'names'; readonly device: string; readonly names: readonly ToldName[] }
  | {
      readonly what: 'why';
      /** As it was asked for: a name or an address. */
      readonly host: string;
      /** Numeric addresses of the name; of an address itself. None: the edge looks it up. */
      readonly addresses: readonly string[];
      readonly device: string | undefined;
      readonly port: number;
      readonly protocol: 'tcp' | 'udp';
    };

/** The reasons, one for each address. */
export interface WhyAnswer {
  readonly host: string;
  readonly answers: readonly (Explanation & { readonly address: string })[];
}

/** What can be asked: of either backend. */
export type AskedPaths = Pick<EgressPaths, 'status' | 'probe' | 'drain' | 'why'>;

export type PathsAnswer = readonly PathStatus[] | WhyAnswer;

/** What is known about names, beside the paths. */
export interface NameSurroundings {
  /** From where a device's name for an address is known. */
  explain(device: string | undefined, address: Uint8Array): KnownName | undefined;
  lookUp(host: string, device: string | undefined): Promise<readonly string[]>;
  tell(device: string, names: readonly ToldName[]): void;
}

/** Most addresses that one question may be about. */
const maxAddresses = 32;

/** What came over the control socket. Throws CulvertError 'bad-request'. */
export function parsePathsQuestion(value: unknown): PathsQuestion {
  const { what, path, isDrained, host, addresses, device, port, protocol } = (value ?? {}) as Record<
    string,
    unknown
  >;
  const isText = (one: unknown): one is string => typeof one === 'string';
  if (what === 'list') return { what };
  if (what === 'probe' && (path === undefined || isText(path))) return { what, path };
  if (what === 'drain' && isText(path) && typeof isDrained === 'boolean') return { what, path, isDrained };
  const isPlace = isText(host) && Number.isInteger(port) && (protocol === 'tcp' || protocol === 'udp');
  const isList = Array.isArray(addresses) && addresses.length <= maxAddresses && addresses.every(isText);
  if (what === 'why' && isPlace && isList && (device === undefined || isText(device))) {
    return { what, host, addresses, device, port: Number(port), protocol };
  }
  throw new CulvertError('bad-request');
}

/** Throws CulvertError 'unknown-path'. */
export async function answerPaths(
  question: PathsQuestion,
  paths: AskedPaths,
  names?: NameSurroundings,
): Promise<PathsAnswer> {
  switch (question.what) {
    case 'why': {
      const { host, device } = question;
      const isAddress = parseAddress(host) !== undefined;
      const given = isAddress && question.addresses.length === 0 ? [host] : question.addresses;
      const addresses = given.length > 0 ? given : ((await names?.lookUp(host, device)) ?? []);
      return {
        host,
        answers: addresses.slice(0, maxAddresses).flatMap((one) => why(one, question, paths, names)),
      };
    }
    case 'names':
      names?.tell(question.device, question.names);
      return [];
    case 'probe':
      checkPath(question.path, paths);
      await paths.probe(question.path);
      return paths.status();
    case 'drain':
      checkPath(question.path, paths);
      paths.drain(question.path, question.isDrained);
      return paths.status();
    default:
      return paths.status();
  }
}

function why(
  text: string,
  question: Extract<PathsQuestion, { what: 'why' }>,
  paths: AskedPaths,
  names: NameSurroundings | undefined,
): readonly WhyAnswer['answers'][number][] {
  const address = parseAddress(text);
  if (address === undefined) return [];
  const isNamed = parseAddress(question.host) === undefined;
  const name: KnownName | undefined = isNamed
    ? { name: question.host.toLowerCase().replace(/\.$/, ''), source: 'told', others: [] }
    : names?.explain(question.device, address);
  const source = { address: new Uint8Array(address.length), port: 0 };
  const { device, port, protocol } = question;
  const request = { device, source, destination: { address, port }, name };
  return [{ address: text, ...paths.why(request, protocol) }];
}

function checkPath(id: string | undefined, paths: AskedPaths): void {
  if (id === undefined || paths.status().some((path) => path.id === id)) return;
  const known = paths.status().map((path) => path.id);
  throw new CulvertError('unknown-path', { text: `There is no path ${id}; there are ${known.join(', ')}.` });
}
