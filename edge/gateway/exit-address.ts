/**
 * By which address places outside see what leaves here, as far as this machine can know it: its own one towards the
 * Internet, which the kernel tells without a packet. What a proxy or another edge makes of it is not known here, and a
 * private address means that somebody before us translates it: then the endpoint may be told, if that is an address.
 */

import { createSocket } from 'node:dgram';
import { parseAddress, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import type { PathConfig } from '../config-paths.ts';
import { privateRanges, reservedRanges } from '../host/closed-ranges.ts';

/** Undefined where it cannot be known. */
export type ExitOf = (path: string) => Promise<string | undefined>;

export interface ExitParts {
  readonly paths: readonly PathConfig[];
  /** Of edge.yaml; a name says nothing. */
  readonly endpoint: string | undefined;
  readonly now: () => MonoMs;
  /** Own addresses towards the Internet, the first is preferred. Default: asks the kernel. */
  readonly look?: () => Promise<readonly string[]>;
}

const holdsMs: number = 30 * secondMs;
/** Any address of the Internet does: nothing is sent to it. */
const anywhere = { udp4: '1.1.1.1', udp6: '2606:4700:4700::1111' } as const;
const anyPort = 53;
const closed = [privateRanges, reservedRanges].flatMap(({ v4, v6 }) =>
  [...v4, ...v6].flatMap((text) => parsePrefix(text) ?? []),
);

export function exitAddresses({ paths, endpoint, now, look = ownAddresses }: ExitParts): ExitOf {
  let known: Promise<readonly string[]> | undefined;
  let lookedAt: MonoMs | undefined;
  return async (id) => {
    const path = paths.find((one) => one.id === id);
    if (path?.type === 'source' && path.address !== undefined) return firstPublic([path.address]);
    if (path?.type !== 'direct') return undefined;
    if (known === undefined || lookedAt === undefined || now() - lookedAt >= holdsMs) {
      lookedAt = now();
      known = look();
    }
    const own = await known;
    // Without a way to the Internet there is no address there.
    if (own.length === 0) return undefined;
    return firstPublic([...own, ...(endpoint === undefined ? [] : [endpoint])]);
  };
}

function firstPublic(all: readonly string[]): string | undefined {
  return all.find((text) => {
    const address = parseAddress(text);
    return address !== undefined && !closed.some((range) => prefixContains(range, address));
  });
}

/** Never rejects. */
async function ownAddresses(): Promise<readonly string[]> {
  const found = await Promise.all((['udp4', 'udp6'] as const).map(ownAddress));
  return found.filter((address) => address !== undefined);
}

function ownAddress(family: 'udp4' | 'udp6'): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(family);
    const end = (address: string | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => end(undefined));
    const onDone = (error?: Error | null): void => end(error ? undefined : socket.address().address);
    socket.connect(anyPort, anywhere[family], onDone);
  });
}
