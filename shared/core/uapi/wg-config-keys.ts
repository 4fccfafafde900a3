/** The settings that wg(8), wg-quick(8) and AmneziaWG's apps know, and what to tell people about each. Data only. */

import { disguiseKeys, writtenKey } from '../wire/disguise-fields.ts';

/** Commands, in lower case: listed, never run. */
export const commandKeys: ReadonlySet<string> = new Set(['preup', 'postup', 'predown', 'postdown']);

/** AmneziaWG's decoys before a handshake, in lower case: the other end never looks at them, and neither do we. */
export const decoyKeys: ReadonlySet<string> = new Set([
  ...[1, 2, 3, 4, 5].map((n) => `i${n}`),
  ...[1, 2, 3].map((n) => `j${n}`),
  'itime',
]);

export interface KeyRule {
  readonly name: string;
  readonly remedy: string;
  /** May hold several values, and stand on several lines. */
  readonly isList: boolean;
  /** Its value is never repeated in a fault. */
  readonly isSecret: boolean;
}

function single(name: string, remedy: string): [string, KeyRule] {
  return [name.toLowerCase(), { name, remedy, isList: false, isSecret: false }];
}

function list(name: string, remedy: string): [string, KeyRule] {
  return [name.toLowerCase(), { name, remedy, isList: true, isSecret: false }];
}

function secret(name: string, remedy: string): [string, KeyRule] {
  return [name.toLowerCase(), { name, remedy, isList: false, isSecret: true }];
}

/** By the key in lower case. */
export const interfaceRules: ReadonlyMap<string, KeyRule> = new Map([
  secret('PrivateKey', 'A key is 44 characters of base64 and ends with =; make one with: wg genkey'),
  single('ListenPort', 'Write a number from 0 to 65535.'),
  single('FwMark', 'Write a number, a number in hexadecimal such as 0xca6c, or off.'),
  list('Address', 'Write addresses such as 10.7.0.2/32, with commas between them.'),
  list('DNS', 'Write addresses of resolvers and search domains, with commas between them.'),
  single('MTU', 'Write a number from 576 to 65535.'),
  single('Table', 'Write auto, off or the number of a routing table.'),
  single('SaveConfig', 'Write true or false.'),
  ...disguiseKeys.map((key) =>
    single(writtenKey(key), 'Write a number; of H1 to H4 also a range, 1000-2000.'),
  ),
]);

/** By the key in lower case. */
export const peerRules: ReadonlyMap<string, KeyRule> = new Map([
  single('PublicKey', 'A key is 44 characters of base64 and ends with =.'),
  secret('PresharedKey', 'A key is 44 characters of base64 and ends with =; make one with: wg genpsk'),
  list('AllowedIPs', 'Write prefixes such as 10.7.0.0/24, with commas between them.'),
  single('Endpoint', 'Write name:port, 192.0.2.1:51820 or [2001:db8::1]:51820.'),
  single('PersistentKeepalive', 'Write seconds from 0 to 65535, or off.'),
]);
