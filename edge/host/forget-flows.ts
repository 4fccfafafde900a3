/** Makes the kernel forget connections of dead paths that nobody has answered (unanswered-flows.ts). */

import { readFile } from 'node:fs/promises';
import type { Log } from '../../shared/core/base/ports.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../shared/node/ffi/structs.ts';
import { deleteRequest, type UnansweredFlow, unansweredFlows } from './unanswered-flows.ts';

const countPath = '/proc/sys/net/netfilter/nf_conntrack_count';
const listPath = '/proc/net/nf_conntrack';
/** With more connections than these the list is not read: it would hold up everything else. */
const maxListed = 32_768;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_NETFILTER = 12;

/** Returns how many there were. Never rejects: without it they end by themselves. */
export async function forgetUnanswered(slot: number, log: Log): Promise<number> {
  try {
    if (Number(await readFile(countPath, 'latin1')) > maxListed) return 0;
    const flows = unansweredFlows(await readFile(listPath, 'latin1'), slot);
    return flows.length > 0 && sendAll(flows) ? flows.length : 0;
  } catch (cause) {
    log.debug('connections of a dead path are not forgotten', { why: String(cause) });
    return 0;
  }
}

function sendAll(flows: readonly UnansweredFlow[]): boolean {
  const ffi = ffiAvailable();
  if (!ffi.ok) return false;
  const { libc } = ffi;
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return false;
  try {
    // The kernel answers only where it refuses, which is then as well.
    for (const flow of flows) libc.writeBytes(fd, deleteRequest(flow));
    return true;
  } finally {
    libc.close(fd);
  }
}
