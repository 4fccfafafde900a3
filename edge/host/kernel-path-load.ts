/**
 * What goes by each path where the kernel forwards: flows since the start from the counters of our table, flows now
 * from the connections that carry a path's mark.
 */

import type { Run } from '../../shared/node/run.ts';
import { slotOfMark } from './kernel-marks.ts';
import { pathsTable } from './kernel-path-rules.ts';
import { maxListed, trackedConnections } from './tracked-connections.ts';

/** New flows by slot since the counters were made; empty where there is no table. */
export async function readOpened(run: Run): Promise<ReadonlyMap<number, number>> {
  const words = ['-j', 'list', 'counters', 'table', 'inet', pathsTable];
  const { exitCode, stdout } = await run('nft', words, { allowFailure: true });
  return exitCode === 0 ? parseOpened(stdout) : new Map();
}

/** Of `nft -j list counters`. */
export function parseOpened(text: string): ReadonlyMap<number, number> {
  const found = text.matchAll(/"name": ?"path_(\d+)"[^{}]*?"packets": ?(\d+)/g);
  return new Map([...found].map(([, slot, packets]) => [Number(slot), Number(packets)]));
}

/** Open flows by slot; undefined where there are too many, or the kernel does not tell. */
export async function readOpenFlows(): Promise<ReadonlyMap<number, number> | undefined> {
  try {
    const list = await trackedConnections(maxListed);
    return list === undefined ? undefined : parseOpenFlows(list);
  } catch {
    return undefined; // A kernel without that file.
  }
}

/** Of /proc/net/nf_conntrack. */
export function parseOpenFlows(text: string): ReadonlyMap<number, number> {
  const flows = new Map<number, number>();
  for (const [, mark] of text.matchAll(/ mark=(\d+)/g)) {
    const slot = slotOfMark(Number(mark));
    if (slot !== 0) flows.set(slot, (flows.get(slot) ?? 0) + 1);
  }
  return flows;
}
