/** The error numbers of Linux that we meet, by name. */

export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOPROTOOPT: 92,
  EBADFD: 77,
  EMSGSIZE: 90,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const;

/** 'EADDRINUSE' for 98; 'errno 1234' for one that is not in the table. */
export function errnoName(value: number): string {
  for (const [name, number] of Object.entries(errno)) {
    if (number === value) return name;
  }
  return `errno ${value}`;
}
