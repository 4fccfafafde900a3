/**
 * Layouts and numbers of the Linux interface that we fill by hand: 64-bit little-endian, generic
 * ABI. test/unit/shared/node/ffi/structs.test.ts compares the layouts with the FFI library's own.
 */

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x8_0000;
export const O_RDWR = 2;
export const O_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x8_0000;
export const EFD_NONBLOCK = 0x800;
export const EFD_CLOEXEC = 0x8_0000;
export const CLOCK_BOOTTIME = 7;
export const PR_SET_TIMERSLACK = 29;

export const MFD_CLOEXEC = 1;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_FIXED = 0x10;
/** Kernels before 4.17 take it for a wish. */
export const MAP_FIXED_NOREPLACE = 0x10_0000;

/** For madvise: what lies there is not needed now. */
export const MADV_DONTNEED = 4;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;

export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IP_PKTINFO = 8;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVTOS = 13;
/** Value of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: never set "don't fragment". */
export const PMTUDISC_DONT = 0;

export const IPPROTO_IPV6 = 41;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;

export const IPPROTO_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const MSG_TRUNC = 0x20;
export const POLLIN = 1;
export const POLLOUT = 4;

export const TUNSETIFF = 0x4004_54ca;
export const TUNSETPERSIST = 0x4004_54cb;
export const TUNSETOFFLOAD = 0x4004_54d0;
export const TUNGETIFF = 0x8004_54d2;
export const TUNSETVNETHDRSZ = 0x4004_54d8;
export const IFF_TUN = 0x0001;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

export const SIOCGIFFLAGS = 0x8913;
export const SIOCGIFMTU = 0x8921;
export const SIOCSIFMTU = 0x8922;
export const SIOCGIFINDEX = 0x8933;
export const SIOCGIFTXQLEN = 0x8942;
export const SIOCSIFTXQLEN = 0x8943;
export const IFF_UP = 1;

/** struct iovec */
export const iovec = { size: 16, base: 0, length: 8 } as const;

/** struct mmsghdr: a struct msghdr and the number of bytes moved. */
export const mmsghdr = {
  size: 64,
  name: 0,
  nameLength: 8,
  vectors: 16,
  vectorCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  moved: 56,
} as const;

/** struct cmsghdr, its payload behind it, the next one at a multiple of 8. */
export const cmsghdr = { size: 16, length: 0, level: 8, type: 12 } as const;

/** struct sockaddr_in. Port and address in network byte order. */
export const sockaddrIn = { size: 16, family: 0, port: 2, address: 4 } as const;

/** struct sockaddr_in6. Port and address in network byte order, scope in the machine's. */
export const sockaddrIn6 = { size: 28, family: 0, port: 2, flow: 4, address: 8, scope: 24 } as const;

/** struct in_pktinfo: interface, our address for answers, the address in the header. */
export const inPktinfo = { size: 12, interface: 0, source: 4, destination: 8 } as const;

/** struct in6_pktinfo */
export const in6Pktinfo = { size: 20, address: 0, interface: 16 } as const;

/** struct pollfd */
export const pollfd = { size: 8, fd: 0, events: 4, revents: 6 } as const;

/** struct ifreq: a name of at most 15 bytes and a union that we read as one number. */
export const ifreq = { size: 40, name: 0, nameSize: 16, value: 16 } as const;

/** Bytes that a control message with `payload` bytes takes in a control buffer (CMSG_SPACE). */
export function controlSpace(payload: number): number {
  return cmsghdr.size + ((payload + 7) & ~7);
}
