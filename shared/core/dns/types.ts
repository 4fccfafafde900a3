/** Numbers of the DNS protocol that we look at (IANA "Domain Name System Parameters"). Everything else passes as a number. */

export const recordType = {
  a: 1,
  ns: 2,
  cname: 5,
  soa: 6,
  ptr: 12,
  hinfo: 13,
  mx: 15,
  txt: 16,
  aaaa: 28,
  srv: 33,
  dname: 39,
  opt: 41,
  ds: 43,
  rrsig: 46,
  nsec: 47,
  dnskey: 48,
  nsec3: 50,
  svcb: 64,
  https: 65,
  tkey: 249,
  tsig: 250,
  ixfr: 251,
  axfr: 252,
  mailb: 253,
  maila: 254,
  any: 255,
} as const;

export const recordClass = { in: 1, chaos: 3, any: 255 } as const;

/** RFC 1035 §4.1.1, RFC 6891 §9 for those above 15. */
export const rcode = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  badVers: 16,
} as const;

/** INFO-CODE of RFC 8914 §4. */
export const extendedError = {
  other: 0,
  staleAnswer: 3,
  forgedAnswer: 4,
  dnssecBogus: 6,
  cachedError: 13,
  notReady: 14,
  blocked: 15,
  censored: 16,
  filtered: 17,
  prohibited: 18,
  staleNxDomain: 19,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
} as const;

/** Option codes inside OPT. */
export const ednsOption = {
  clientSubnet: 8,
  cookie: 10,
  keepalive: 11,
  padding: 12,
  extendedError: 15,
} as const;

/** Bits of the third and fourth byte of a message, as one 16-bit number (RFC 1035 §4.1.1, RFC 4035 §3). */
export const flag = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  authenticated: 0x0020,
  checkingDisabled: 0x0010,
  rcode: 0x000f,
} as const;

export const headerSize = 12;
/** What a length of 16 bits can say. */
export const maxMessageSize = 65_535;
/** Without EDNS an answer over UDP may not be longer (RFC 1035 §4.2.1). */
export const plainUdpSize = 512;
/** What we offer and send at most over UDP: no fragments on any usual link. */
export const safeUdpSize = 1232;
