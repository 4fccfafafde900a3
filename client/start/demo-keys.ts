/** The device of a demonstration: fresh keys, its addresses, and the file that `culvert import` takes. */

import { createPublicKey, generateKeyPairSync } from 'node:crypto';

export interface DeviceKeys {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** The device as the edge knows it. */
export const demoDevice = {
  name: 'you',
  address: '10.83.0.2',
  addressV6: 'fd83:0:0:1::2',
} as const;

/** For edge.yaml. The first addresses are the edge's own. */
export const demoNetwork = 'network: { v4: 10.83.0.0/16, v6: "fd83:0:0:1::/64" }';
/** The edge as the device knows it. */
export const gatewayAddresses: readonly string[] = ['10.83.0.1', 'fd83:0:0:1::1'];

const keySize = 32;

/** In the form of `wg genkey`. */
export function newKeys(): DeviceKeys {
  const { privateKey } = generateKeyPairSync('x25519');
  const secret = privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-keySize);
  const open = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(-keySize);
  return { privateKey: secret.toString('base64'), publicKey: open.toString('base64') };
}

/** The line `peers` of edge.yaml. */
export function peersLine(publicKey: string): string {
  const { name, address, addressV6 } = demoDevice;
  return `peers: [{ name: ${name}, publicKey: "${publicKey}", allowedIps: [${address}, "${addressV6}"] }]`;
}

export interface DeviceFile {
  readonly privateKey: string;
  readonly edgeKey: string;
  /** HOST:PORT */
  readonly endpoint: string;
  /** Resolvers inside the tunnel. */
  readonly dns?: readonly string[];
}

export function wgQuickFile(file: DeviceFile): string {
  const { privateKey, edgeKey, endpoint, dns = [] } = file;
  return `[Interface]
PrivateKey = ${privateKey}
Address = ${demoDevice.address}/32, ${demoDevice.addressV6}/128
${dns.length === 0 ? '' : `DNS = ${dns.join(', ')}\n`}
[Peer]
PublicKey = ${edgeKey}
Endpoint = ${endpoint}
AllowedIPs = 0.0.0.0/0, ::/0
`;
}
