/** How many sockets this process may have for flows: its limit of open files, less what the edge itself needs. */

import { readFileSync } from 'node:fs';

/** Far above what one event loop carries. */
const mostFlows = 100_000;
/** Where the system does not tell: below the usual limits of today's systems. */
const cautiousFlows = 8192;
/** For the tunnel, the control socket, resolvers, and what is being closed. */
const reservedFiles = 128;

/** Of the running process. Node has raised its limit to the highest allowed already. */
export function flowLimit(): number {
  try {
    return flowLimitOf(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return cautiousFlows; // not Linux
  }
}

/** `limits`: as /proc/PID/limits has them. At least one flow. */
export function flowLimitOf(limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)\s/m.exec(limits)?.[1];
  if (soft === undefined) return cautiousFlows;
  if (soft === 'unlimited') return mostFlows;
  return Math.max(1, Math.min(mostFlows, Number(soft) - reservedFiles));
}
