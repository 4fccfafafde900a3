/** The settings that wg(8) and wg-quick(8) know, and what to tell people about each. Data only. */

/** Commands, in lower case: listed, never run. */
export const commandKeys: ReadonlySet<string> = new Set(['preup', 'postup', 'predown', 'postdown']);

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
]);

/** By the key in lower case. */
export const peerRules: ReadonlyMap<string, KeyRule> = new Map([
  single('PublicKey', 'A key is 44 characters of base64 and ends with =.'),
  secret('PresharedKey', 'A key is 44 characters of base64 and ends with =; make one with: wg genpsk'),
  list('AllowedIPs', 'Write prefixes such as 10.7.0.0/24, with commas between them.'),
  single('Endpoint', 'Write name:port, 192.0.2.1:51820 or [2001:db8::1]:51820.'),
  single('PersistentKeepalive', 'Write seconds from 0 to 65535, or off.'),
]);
