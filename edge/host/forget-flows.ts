/** Makes the kernel forget connections of dead paths that nobody has answered (unanswered-flows.ts). */

import { parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../shared/node/ffi/structs.ts';
import type { PlaceMove } from './automatic-places.ts';
import { maxListed, trackedConnections } from './tracked-connections.ts';
import { deleteRequest, type UnansweredFlow, unansweredFlows } from './unanswered-flows.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_NETFILTER = 12;

/** `isTo`: only those; default: all of the path. Returns how many there were. Never rejects: without it they end by themselves. */
export async function forgetUnanswered(
  slot: number,
  log: Log,
  isTo: (destination: Uint8Array) => boolean = () => true,
): Promise<number> {
  try {
    const list = await trackedConnections(maxListed);
    const flows = list === undefined ? [] : unansweredFlows(list, slot, isTo);
    return flows.length > 0 && sendAll(flows) ? flows.length : 0;
  } catch (cause) {
    log.debug('connections of a dead path are not forgotten', { why: String(cause) });
    return 0;
  }
}

/** Those that wait at places which new flows reach by another path from now on. */
export async function forgetMoved(
  moves: readonly PlaceMove[],
  slots: ReadonlyMap<string, number>,
  log: Log,
): Promise<void> {
  const left = new Set(moves.flatMap(({ from }) => (from === undefined ? [] : [from])));
  for (const id of left) {
    const slot = slots.get(id);
    const own = moves.filter(({ from }) => from === id);
    const prefixes = own.flatMap(({ prefix }) => parsePrefix(prefix) ?? []);
    const isTo = (address: Uint8Array): boolean => prefixes.some((one) => prefixContains(one, address));
    if (slot !== undefined) await forgetUnanswered(slot, log, isTo);
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
