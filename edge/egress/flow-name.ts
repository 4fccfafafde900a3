/**
 * The name that a flow is for: what the device has looked up, and what the connection's first bytes say. Decides
 * when it is worth to look at those before the destination is dialled. Pure.
 */

import type { FirstBytes } from './first-bytes.ts';
import type { KnownName } from './rules.ts';

/** Ports where the server speaks first (RFC 959, 4253, 5321, 1939, 9051, …): nobody would say a name there. */
const serverFirst: ReadonlySet<number> = new Set([
  21, 22, 23, 25, 110, 119, 143, 194, 465, 587, 2525, 3306, 5900, 6667,
]);
/** The web: there the bytes come for sure, and are worth a wait. */
const webPorts: ReadonlySet<number> = new Set([80, 443, 8080, 8443]);
/** A device far away needs two of its round trips. */
const webWaitMs = 2000;
const otherWaitMs = 500;

/** How long to wait for the first bytes; undefined: do not, they would tell nothing. */
export function firstBytesWaitMs(port: number, known: KnownName | undefined): number | undefined {
  if (serverFirst.has(port)) return undefined;
  if (known !== undefined && known.source !== 'guessed') return undefined;
  return webPorts.has(port) ? webWaitMs : otherWaitMs;
}

/**
 * `known`: from the device's questions. What the connection says itself counts more, unless it may be the name of
 * a front: then it is sure only where the device has looked that name up for this address as well.
 */
export function flowName(known: KnownName | undefined, said: FirstBytes | undefined): KnownName | undefined {
  if (said?.kind !== 'named') return known;
  const { name, by, isOuter } = said;
  if (!isOuter || known?.name === name || known?.others.includes(name) === true) {
    return { name, source: by, others: [] };
  }
  return known ?? { name, source: 'front', others: [] };
}
