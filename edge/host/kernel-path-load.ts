/**
 * What goes by each path where the kernel forwards: flows since the start from the counters of our table, flows now
 * from the connections that carry a path's mark.
 */

import { readFileSync } from 'node:fs';
import type { Run } from '../../shared/node/run.ts';
import { pathMarkMask } from './kernel-marks.ts';
import { pathsTable } from './kernel-path-rules.ts';

const countPath = '/proc/sys/net/netfilter/nf_conntrack_count';
const listPath = '/proc/net/nf_conntrack';
/** With more connections than these the list is not read: it would hold up everything else. */
const maxListed = 32_768;

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
export function readOpenFlows(): ReadonlyMap<number, number> | undefined {
  try {
    if (Number(readFileSync(countPath, 'latin1')) > maxListed) return undefined;
    return parseOpenFlows(readFileSync(listPath, 'latin1'));
  } catch {
    return undefined; // A kernel without that file.
  }
}

/** Of /proc/net/nf_conntrack. */
export function parseOpenFlows(text: string): ReadonlyMap<number, number> {
  const flows = new Map<number, number>();
  for (const [, mark] of text.matchAll(/ mark=(\d+)/g)) {
    const slot = (Number(mark) & pathMarkMask) >>> 24;
    if (slot !== 0) flows.set(slot, (flows.get(slot) ?? 0) + 1);
  }
  return flows;
}
