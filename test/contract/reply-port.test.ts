import { describe } from 'vitest';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { loadNative } from '../../shared/node/ffi/native.ts';
import { openReplyDgram } from '../../shared/node/udp/reply-dgram.ts';
import { openReplyLinux } from '../../shared/node/udp/reply-linux.ts';
import { replyPortContract } from './reply-port.ts';

const ffi = ffiAvailable();
const loaded = loadNative();

if (ffi.ok && loaded.ok) {
  const parts = { libc: ffi.libc, watch: loaded.native.watch };
  replyPortContract({
    name: 'linux',
    open: async (place, handler) => openReplyLinux(place, handler, parts),
  });
} else {
  describe.skip('the reply port linux [enable with: Linux with glibc and koffi]', () => {});
}

replyPortContract({ name: 'dgram', open: openReplyDgram });
