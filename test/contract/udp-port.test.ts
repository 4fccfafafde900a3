import { describe } from 'vitest';
import { ffiAvailable, type Libc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import { IPPROTO_UDP } from '../../shared/node/ffi/structs.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { UdpDgram } from '../../shared/node/udp/udp-dgram.ts';
import { UdpLinux } from '../../shared/node/udp/udp-linux.ts';
import { UdpWire } from '../../shared/node/udp/udp-memory.ts';
import { udpPortContract } from './udp-port.ts';

const memoryBytes = 48 * 1024 * 1024;
const ffi = ffiAvailable();

if (ffi.ok) {
  udpPortContract(() => {
    const memory = new WorkerMemory(memoryBytes, ffi.libc);
    return {
      name: 'UdpLinux',
      open: () => new UdpLinux({ libc: ffi.libc, memory, log: silentLog }),
      memory,
      tos: true,
      localAddress: true,
    };
  });

  udpPortContract(() => {
    const libc = withoutOffloads(ffi.libc);
    const memory = new WorkerMemory(memoryBytes, libc);
    return {
      name: 'UdpLinux on a kernel without offloads',
      open: () => new UdpLinux({ libc, memory, log: silentLog }),
      memory,
      tos: true,
      localAddress: true,
    };
  });
} else {
  describe.skip(`UdpLinux [${ffi.reason}; enable with: Linux with glibc and koffi]`, () => {});
}

udpPortContract(() => ({
  name: 'UdpDgram',
  open: () => new UdpDgram({ log: silentLog }),
  memory: new WorkerMemory(memoryBytes, undefined),
  tos: false,
  localAddress: false,
}));

udpPortContract(() => {
  const wire = new UdpWire({ random: () => 0.5 });
  const v4 = Uint8Array.of(127, 0, 0, 1);
  const v6 = new Uint8Array(16);
  v6[15] = 1;
  return {
    name: 'UdpMemory',
    open: () => wire.port({ v4, v6 }),
    memory: new WorkerMemory(memoryBytes, undefined),
    tos: true,
    localAddress: true,
  };
});

/** A kernel that knows no option of UDP. */
function withoutOffloads(libc: Libc): Libc {
  return {
    ...libc,
    setsockopt: (fd, level, name, value, length) =>
      level === IPPROTO_UDP ? -1 : libc.setsockopt(fd, level, name, value, length),
    getsockopt: (fd, level, name, value, length) =>
      level === IPPROTO_UDP ? -1 : libc.getsockopt(fd, level, name, value, length),
  };
}
