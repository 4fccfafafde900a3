/** The kernel's list of the connections that it keeps, where it tells and is not too long to read. */

import { readFile } from 'node:fs/promises';

export type ReadText = (path: string) => Promise<string>;

/** What is read of a host that forwards; with more connections nothing is learnt from them. */
export const maxListed = 32_768;

const countPath = '/proc/sys/net/netfilter/nf_conntrack_count';
const listPath = '/proc/net/nf_conntrack';

/** A file of this host's kernel. */
export const readKernelText: ReadText = (path) => readFile(path, 'latin1');

/**
 * Lines of /proc/net/nf_conntrack; '' where there are none. Undefined with more than `most` of them: reading those would
 * hold up everything else. Rejects where the kernel does not tell us.
 */
export async function trackedConnections(
  most: number,
  read: ReadText = readKernelText,
): Promise<string | undefined> {
  const count = Number(await read(countPath));
  if (count === 0) return '';
  return count > most ? undefined : read(listPath);
}
