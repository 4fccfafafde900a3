/** The edge.yaml that `init` writes: every key with its default, and what it is for. Pure. */

import {
  defaultConnectionsPerDevice,
  defaultConnectionsPerSecond,
  defaultInterface,
  defaultMtu,
} from '../config.ts';
import { defaultDns } from '../config-dns.ts';
import type { NewNetwork } from '../new-network.ts';

export interface NewEdge {
  readonly name: string;
  readonly endpoint: string | undefined;
  readonly udpPorts: readonly number[];
  readonly httpsPorts: readonly number[];
  readonly metrics: string;
  readonly network: NewNetwork;
}

export function edgeYaml(edge: NewEdge): string {
  const { name, endpoint, udpPorts, httpsPorts, metrics, network } = edge;
  const place =
    endpoint === undefined ? '# endpoint: edge.example.com' : `endpoint: ${JSON.stringify(endpoint)}`;
  return `# The configuration of a culvert edge. After a change: culvert-edge reload

name: ${JSON.stringify(name)}
${place} # how devices reach this machine: a host name or an address
listen:
  udp: [${udpPorts.join(', ')}] # the tunnel
  https: [${httpsPorts.join(', ')}] # the API that devices enrol with; what cannot be opened is a warning
  metrics: "${metrics}" # numbers for Prometheus, /healthz and /readyz; off: none
network: { v4: ${network.v4}, v6: "${network.v6}" } # of the tunnel; the first address of each is the edge's own
store: sqlite # devices and invitations, in store.db

egress:
  backend: auto # kernel where this program may use it, else userspace
  paths: [{ id: direct, type: direct }]
  deny: [private, link-local, metadata] # closed to devices; only private may be left out
  allow: [] # opens a part of that: [{ cidr: 192.168.1.0/24, device: laptop }, { device: laptop, to: phone }]

dns: { upstreams: ${JSON.stringify(defaultDns.upstreams)}, families: ${defaultDns.families}, cacheEntries: ${defaultDns.cacheEntries} }
limits: # of one device; 0: none
  deviceRate: 0 # bytes a second, each way
  deviceQuotaBytes: 0 # both ways together
  connectionsPerDevice: ${defaultConnectionsPerDevice} # at a time
  connectionsPerSecond: ${defaultConnectionsPerSecond} # new ones

# certificate: { certificateFile: fullchain.pem, keyFile: privkey.pem } # without it the edge makes its own, and devices pin it
# certificate: { acme: { domains: [edge.example.com], agreeTos: true } } # or has its own signed by Let’s Encrypt
# privateKeyFile: edge.key
# interface: ${defaultInterface} # of the kernel backend
# mtu: ${defaultMtu}
# obfuscation: { junk: { count: 4, min: 50, max: 1000 }, types: { initiation: 1000, response: 2000, cookieReply: 3000, data: 4000 } } # devices then need culvert or AmneziaWG; choose your own numbers
# workers: 1 # each needs a port of its own in listen.udp
# peers: [{ name: phone, publicKey: KEY, allowedIps: [ADDRESS] }] # devices that this file owns; others: culvert-edge device add
`;
}
