// Two hosts on one cable, each with an end of a tunnel: the arrangement of most tests. Host `a` begins, `b` answers.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, Lab, Output } from './hosts.ts';
import { type Kind, startWg, type Wg } from './implementations.ts';

export const port = 51820;
/** Addresses on the cable. */
export const outer = { a: '192.0.2.1', b: '192.0.2.2', a6: '2001:db8:a::1', b6: '2001:db8:a::2' } as const;
/** Addresses inside the tunnel. */
export const inner = { a: '10.77.0.1', b: '10.77.0.2', a6: 'fd77::1', b6: 'fd77::2' } as const;

export interface Key {
  readonly secret: string;
  readonly public: string;
}

export interface PairOptions {
  /** Who begins, who answers. */
  readonly kinds: readonly [Kind, Kind];
  readonly mtu?: number;
  readonly underlayMtu?: number;
  /** Of the process of ours and of the reference alike. */
  readonly env?: Readonly<Record<string, string>>;
  readonly ipv6Only?: boolean;
  readonly peerOptions?: readonly string[];
}

export interface Pair {
  readonly lab: Lab;
  readonly a: Wg;
  readonly b: Wg;
  readonly keys: { readonly a: Key; readonly b: Key };
}

export function newKey(): Key {
  const { privateKey } = generateKeyPairSync('x25519');
  const jwk = privateKey.export({ format: 'jwk' });
  const text = (part: string | undefined): string => Buffer.from(part ?? '', 'base64url').toString('base64');
  return { secret: text(jwk.d), public: text(jwk.x) };
}

export function newSharedSecret(): string {
  return randomBytes(32).toString('base64');
}

let madeFiles = 0;

/** wg takes secrets from files only. */
export function secretFile(lab: Lab, text: string): string {
  madeFiles += 1;
  const path = join(lab.folder, `secret-${madeFiles}`);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

/** The two hosts and their cable, without tunnels. */
export async function cabledHosts(lab: Lab, mtu = 1500, ipv6Only = false): Promise<readonly [Host, Host]> {
  const hosts = [await lab.host(), await lab.host()] as const;
  await lab.link(hosts[0], hosts[1], 'eth0', mtu);
  for (const [host, v4, v6] of [
    [hosts[0], outer.a, outer.a6],
    [hosts[1], outer.b, outer.b6],
  ] as const) {
    if (!ipv6Only) await host.run('ip', 'addr', 'add', `${v4}/24`, 'dev', 'eth0');
    await host.run('ip', 'addr', 'add', `${v6}/64`, 'dev', 'eth0', 'nodad');
  }
  return hosts;
}

/** A pair that can talk: keys, peers, addresses; only `a` knows where the other is. */
export async function tunnelPair(lab: Lab, options: PairOptions): Promise<Pair> {
  const [hostA, hostB] = await cabledHosts(lab, options.underlayMtu, options.ipv6Only);
  const env = options.env === undefined ? {} : { env: options.env };
  const [a, b] = await Promise.all([
    startWg(hostA, options.kinds[0], env),
    startWg(hostB, options.kinds[1], env),
  ]);
  const keys = { a: newKey(), b: newKey() };
  const pair: Pair = { lab, a, b, keys };
  await configureEnd(pair, 'b', []);
  const address = options.ipv6Only === true ? `[${outer.b6}]` : outer.b;
  await configureEnd(pair, 'a', ['endpoint', `${address}:${port}`, ...(options.peerOptions ?? [])]);
  await Promise.all([bringUp(a, 'a', options.mtu), bringUp(b, 'b', options.mtu)]);
  return pair;
}

/** Key, port and the other end as peer. */
export async function configureEnd(
  pair: Pair,
  end: 'a' | 'b',
  peerWords: readonly string[],
  wg: Wg = pair[end],
): Promise<void> {
  const far = end === 'a' ? 'b' : 'a';
  await wg.set(
    `private-key ${secretFile(pair.lab, pair.keys[end].secret)} listen-port ${port}`,
    `peer ${pair.keys[far].public} allowed-ips ${inner[far]}/32,${inner[`${far}6`]}/128`,
    ...peerWords,
  );
}

/** `a` forgets the session, so that the next packet needs a handshake. `words`: further settings of the peer. */
export async function forgetSession(
  pair: Pair,
  words: readonly string[] = [],
  endpoint = `${outer.b}:${port}`,
): Promise<void> {
  const peer = `peer ${pair.keys.b.public}`;
  await pair.a.set(peer, 'remove');
  await pair.a.set(peer, `endpoint ${endpoint} allowed-ips ${inner.b}/32,${inner.b6}/128`, ...words);
}

export async function bringUp(wg: Wg, end: 'a' | 'b', mtu = 1420): Promise<void> {
  await wg.host.script(`
    ip addr add ${inner[end]}/24 dev ${wg.name}
    ip addr add ${inner[`${end}6`]}/64 dev ${wg.name} nodad
    ip link set ${wg.name} mtu ${mtu} up
  `);
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
}

/** Pings and counts the replies. `words`: further options of ping. */
export async function ping(host: Host, address: string, count = 3, ...words: string[]): Promise<PingResult> {
  const argv = ['ping', '-n', '-q', '-c', String(count), '-i', '0.05', '-W', '2', ...words, address];
  const { out } = await host.try(argv, { timeoutMs: 60_000 });
  const found = /(\d+) packets transmitted, (\d+) received/.exec(out);
  return { sent: Number(found?.[1] ?? 0), received: Number(found?.[2] ?? 0) };
}

/** True when a single ping is answered within `seconds`. */
export async function reaches(host: Host, address: string, seconds = 2): Promise<boolean> {
  const output: Output = await host.try(['ping', '-n', '-q', '-c', '1', '-W', String(seconds), address]);
  return output.code === 0;
}

/** Unix seconds of the last handshake with the first peer; 0 where there was none. */
export async function lastHandshake(wg: Wg): Promise<number> {
  return Number((await wg.show('latest-handshakes')).split('\t')[1] ?? 0);
}
