/**
 * Looks up the name of an edge outside the tunnel: in the hosts file, then at the network's own name servers by questions
 * that carry the tunnel's mark, so that the firewall can let these pass and no other program's. Where that finds nothing,
 * the C library is asked. All of it together ends within five seconds, so that a user soon reads why nothing goes on.
 */

import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { readU16BE } from '../../shared/core/base/bytes.ts';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { answersQuestion } from '../../shared/core/dns/edns.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import { parseAddressText } from '../../shared/core/uapi/values.ts';
import { setSocketMark } from '../../shared/node/udp/socket-options.ts';

export interface EdgeNamesOptions {
  /** Of the network, not of the tunnel. */
  readonly servers: () => readonly string[];
  readonly mark: number;
  readonly entropy: Entropy;
  /** Default: the system's. */
  readonly hosts?: () => string;
  /** Default: 53. */
  readonly port?: number;
}

/** Both families of one server, and another server where it is silent. */
const resendMs = 700;
const maxServers = 3;
/** Once one family is known the other is waited for so long. */
const secondFamilyMs = 300;
const maxAddresses = 8;
const longestHostsBytes = 256 * 1024;
const timeoutMs = 5000;
/** What is left of it is for the C library. */
const serversMs = 3500;

/** Addresses of `host`, IPv4 first; empty where nobody knows it. Rejects where the signal says so. */
export async function lookUpEdge(
  host: string,
  options: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted();
  const listed = addressesInHosts((options.hosts ?? systemHosts)(), host);
  if (listed.length > 0) return listed;
  const limit = AbortSignal.timeout(timeoutMs);
  const found = await askServers(host, options, signal);
  if (found !== undefined && found.length > 0) return found;
  return askLibrary(host, signal, limit);
}

/** IPv6 addresses of a name, by the marked questions alone: for the prefix of a NAT64. */
export async function lookUpIpv6(
  host: string,
  options: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const limit = AbortSignal.timeout(timeoutMs);
  const found = (await askServers(host, options, signal)) ?? (await askLibrary(host, signal, limit));
  return found.filter((address) => isIPv6(address));
}

/** By the marked questions alone, whatever this system itself would say; empty where nobody knows it. */
export async function lookUpByNetwork(
  host: string,
  options: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted();
  return (await askServers(host, options, signal)) ?? [];
}

/** What a hosts file says of a name. Pure. */
export function addressesInHosts(text: string, host: string): readonly string[] {
  const wanted = host.toLowerCase().replace(/\.$/, '');
  const found = text.split('\n').flatMap((line) => {
    const [written = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    const address = names.some((name) => name.toLowerCase() === wanted)
      ? parseAddressText(written)
      : undefined;
    return address ?? [];
  });
  return inOrder(found);
}

function systemHosts(): string {
  try {
    return readFileSync('/etc/hosts', 'utf8').slice(0, longestHostsBytes);
  } catch {
    return ''; // A system without it.
  }
}

/** getaddrinfo cannot be stopped; what comes too late is not listened to. */
async function askLibrary(host: string, signal: AbortSignal, limit: AbortSignal): Promise<readonly string[]> {
  const found = lookup(host, { all: true }).then(
    (all) => inOrder(all.map(({ address }) => address)),
    () => [],
  );
  return Promise.race([found, endOf(signal, limit)]);
}

/** Rejects where `signal` says so; nothing where the time of `limit` is up. */
function endOf(signal: AbortSignal, limit: AbortSignal): Promise<readonly string[]> {
  const either = AbortSignal.any([signal, limit]);
  return new Promise((resolve, reject) => {
    const end = (): void => (signal.aborted ? reject(signal.reason as Error) : resolve([]));
    if (either.aborted) end();
    else either.addEventListener('abort', end, { once: true });
  });
}

/** Undefined where nobody could be asked or nobody answered. */
async function askServers(
  host: string,
  options: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const servers = options.servers().slice(0, maxServers);
  if (servers.length === 0) return undefined;
  const ended = new AbortController();
  const limit = AbortSignal.any([signal, ended.signal, AbortSignal.timeout(serversMs)]);
  try {
    const [v4, v6] = [recordType.a, recordType.aaaa].map((type) =>
      askInTurn({ host, type, servers }, options, limit),
    );
    const first = await Promise.race([v4, v6]);
    const late = first === undefined ? serversMs : secondFamilyMs;
    const both = await Promise.all([v4, v6].map((one) => orLater(one, late)));
    signal.throwIfAborted();
    const known = both.flatMap((one) => one ?? []);
    return both.every((one) => one === undefined) ? undefined : inOrder(known);
  } finally {
    ended.abort();
  }
}

interface Asking {
  readonly host: string;
  readonly type: number;
  readonly servers: readonly string[];
}

/** The first server, and where it is silent the next beside it. Undefined where none answers. */
async function askInTurn(
  { host, type, servers }: Asking,
  options: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  return new Promise((resolve) => {
    let left = servers.length;
    const timers = servers.map((server, i) =>
      setTimeout(() => {
        void askOne({ host, type, server }, options, signal).then((found) => {
          left -= 1;
          if (found !== undefined || left === 0) end(found);
          return undefined;
        });
      }, i * resendMs),
    );
    const end = (found: readonly string[] | undefined): void => {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(found);
    };
    const onAbort = (): void => end(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

interface AskingOne {
  readonly host: string;
  readonly type: number;
  readonly server: string;
}

/** Undefined where it does not answer in time, or fails. Never rejects. */
function askOne(
  { host, type, server }: AskingOne,
  { mark, entropy, port = 53 }: EdgeNamesOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const random = new Uint8Array(2);
  entropy.fill(random);
  const query = writeQuery({ id: readU16BE(random, 0), name: host, type });
  const asked = query === undefined ? undefined : readMessage(query);
  if (query === undefined || asked === undefined) return Promise.resolve([]);
  const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
  return new Promise((resolve) => {
    const end = (found: readonly string[] | undefined): void => {
      clearInterval(again);
      signal.removeEventListener('abort', onAbort);
      closeQuietly(socket);
      resolve(found);
    };
    const onAbort = (): void => end(undefined);
    const send = (): void =>
      socket.send(query, (error) => {
        // Refused, where nobody listens there: no use in waiting.
        if (error !== null) end(undefined);
      });
    let again: NodeJS.Timeout | undefined;
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', () => end(undefined));
    socket.on('message', (bytes) => {
      const answer = readMessage(new Uint8Array(bytes));
      // What does not fit exactly may be forged: the right one may still come.
      if (answer === undefined || !answersQuestion(asked, answer)) return;
      if (readU16BE(answer.bytes, 0) !== asked.id) return;
      end(answer.rcode === 0 || answer.rcode === 3 ? addressesOf(answer.addresses()) : undefined);
    });
    socket.bind(0, () => {
      // Without the right to it there is no firewall of ours either.
      setSocketMark(socket, mark);
      // Connected, so that a server that is not there is heard of.
      socket.connect(port, server, (error?: Error) => {
        if (error !== undefined && error !== null) return end(undefined);
        again = setInterval(send, resendMs);
        send();
      });
    });
  });
}

function addressesOf(found: readonly { readonly address: Uint8Array }[]): readonly string[] {
  return found.map(({ address }) => formatAddress(address));
}

async function orLater<T>(promise: Promise<T> | undefined, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** IPv4 first: a broken IPv6 is commoner than a broken IPv4, and its packets carry less. */
function inOrder(addresses: readonly string[]): readonly string[] {
  const unique = [...new Set(addresses)];
  return [...unique.filter((one) => !isIPv6(one)), ...unique.filter((one) => isIPv6(one))].slice(
    0,
    maxAddresses,
  );
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // It was closed by its error.
  }
}
