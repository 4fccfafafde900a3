/** The best ReplyPort of this machine. */

import { ffiAvailable } from '../ffi/libc.ts';
import { loadNative } from '../ffi/native.ts';
import { openReplyDgram } from './reply-dgram.ts';
import { openReplyLinux } from './reply-linux.ts';
import type { ReplyHandler, ReplyPlace, ReplyPort } from './reply-port.ts';

/** Rejects with the system's error, which has a `code`, where the place cannot be had. */
export async function openReplyPort(place: ReplyPlace, handler: ReplyHandler): Promise<ReplyPort> {
  const ffi = ffiAvailable();
  const loaded = loadNative();
  // A scope, as in fe80::1%eth0, is Node's to read.
  if (!ffi.ok || !loaded.ok || place.address.includes('%')) return openReplyDgram(place, handler);
  return openReplyLinux(place, handler, { libc: ffi.libc, watch: loaded.native.watch });
}
