/**
 * An edge with a kernel that forwards and two uplinks to the same far host: `upstream` has the default route, `second`
 * a worse one. The far host has a site on its loopback, so that both lead there, and answers with who asks.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EdgeStatus } from '../../../edge/admin/status.ts';
import type { Child, ChildOptions } from '../../../shared/node/lab/child.ts';
import { Lab, type LabHost, labAddresses } from '../../../shared/node/lab/topology.ts';

export interface Keys {
  readonly privateKey: string;
  readonly publicKey: string;
}

export const second = {
  edge: '198.18.5.1',
  inet: '198.18.5.2',
  edgeV6: '2001:db8:c::1',
  inetV6: '2001:db8:c::2',
} as const;
export const site = {
  v4: '203.0.113.10',
  v6: '2001:db8:5::10',
  other: '203.0.113.11',
  otherV6: '2001:db8:5::11',
} as const;
export const sitePorts: readonly number[] = [8080, 8081, 8082, 8083, 8084, 8085];
export const edgePort = 51820;
export const readyMs = 30_000;

const edgeProgram = new URL('../../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
/** Answers with the address of whoever asks; /slow is a download that takes its time, until /end is asked for. */
const mirror = `const http = require('http');
  const slow = new Set();
  const answer = (q, s) => {
    const from = q.socket.remoteAddress.replace('::ffff:', '');
    if (q.url === '/end') { for (const one of slow) one.end('over ' + one.req.socket.remoteAddress.replace('::ffff:', '')); slow.clear(); return s.end('ended'); }
    if (q.url !== '/slow') return s.end(from);
    slow.add(s);
    const timer = setInterval(() => s.write('x'), 50);
    s.on('close', () => clearInterval(timer)).on('finish', () => clearInterval(timer));
  };
  let open = 0;
  for (const port of [${sitePorts.join()}]) {
    const server = http.createServer({ keepAlive: false }, answer);
    server.listen(port, '::', () => ++open === ${sitePorts.length} && console.log('listening'));
  }`;

export class PathsWorld {
  readonly lab: Lab;
  readonly folder: string;
  readonly #started: Child[] = [];

  static async up(label: string): Promise<PathsWorld> {
    const world = new PathsWorld(await Lab.up({ label }));
    mkdirSync(world.folder, { mode: 0o700 });
    await world.#secondUplink();
    return world;
  }

  private constructor(lab: Lab) {
    this.lab = lab;
    this.folder = join(lab.folder, 'edge');
  }

  async down(): Promise<void> {
    await Promise.all(this.#started.map((child) => child.end()));
    await this.lab.down();
  }

  async start(
    host: LabHost,
    name: string,
    words: readonly string[],
    options: ChildOptions = {},
  ): Promise<Child> {
    const child = await host.start(name, words, options);
    this.#started.push(child);
    return child;
  }

  async startSite(): Promise<void> {
    const server = await this.start(this.lab.inet, 'site', [process.execPath, '-e', mirror]);
    await server.waitFor(/listening/, readyMs);
  }

  /** `egress`: what stands below that key, besides the backend. */
  write(egress: string, peers: string, upstreams: readonly string[] = []): void {
    this.writeFor('kernel', egress, peers, upstreams);
  }

  writeFor(
    backend: 'kernel' | 'userspace',
    egress: string,
    peers: string,
    upstreams: readonly string[] = [],
  ): void {
    const indented = egress.trimEnd().replace(/^/gm, '  ');
    writeFileSync(
      join(this.folder, 'edge.yaml'),
      `name: home
endpoint: ${labAddresses.edge}
listen: { udp: [${edgePort}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
dns: { upstreams: [${upstreams.map((one) => `"${one}"`).join()}] }
egress:
  backend: ${backend}
${indented}
peers:
${peers}`,
    );
  }

  async startEdge(env: Readonly<Record<string, string>> = {}): Promise<Child> {
    const words = [edgeProgram, 'run', '--data', this.folder];
    const edge = await this.start(this.lab.edge, 'edge', words, { env });
    await edge.waitFor(/^ready$/m, readyMs);
    return edge;
  }

  async edgeCommand(words: readonly string[]): Promise<string> {
    return (await this.lab.edge.run(edgeProgram, [...words, '--data', this.folder])).stdout;
  }

  async status(): Promise<EdgeStatus> {
    return JSON.parse(await this.edgeCommand(['status', '--json'])) as EdgeStatus;
  }

  async newKeys(): Promise<Keys> {
    const { client } = this.lab;
    const privateKey = (await client.run('wg', ['genkey'])).stdout.trim();
    const publicKey = (await client.run('wg', ['pubkey'], { stdin: `${privateKey}\n` })).stdout.trim();
    return { privateKey, publicKey };
  }

  /** A stock WireGuard interface: wireguard-go, configured by `wg`. `peer`: the lines below [Peer]. */
  async startStock(
    host: LabHost,
    name: string,
    config: { readonly head: string; readonly peer: string; readonly addresses: readonly string[] },
  ): Promise<void> {
    await this.start(host, `wireguard-go ${name}`, ['wireguard-go', '-f', name]);
    await until(async () => (await host.run('wg', ['show', name], { allowFailure: true })).exitCode === 0);
    const stdin = `[Interface]\n${config.head}\n[Peer]\n${config.peer}\n`;
    await host.run('wg', ['setconf', name, '/dev/stdin'], { stdin });
    for (const address of config.addresses) {
      await host.run('ip', [
        'address',
        'add',
        address,
        'dev',
        name,
        ...(address.includes(':') ? ['nodad'] : []),
      ]);
    }
    await host.run('ip', ['link', 'set', name, 'mtu', '1420', 'up']);
  }

  /** A device of the edge in the client's network. The first one has the default routes. */
  async startDevice(name: string, keys: Keys, addresses: readonly string[], metric: number): Promise<void> {
    const { publicKey } = await this.status();
    await this.startStock(this.lab.client, name, {
      head: `PrivateKey = ${keys.privateKey}`,
      peer: `PublicKey = ${publicKey}\nEndpoint = ${labAddresses.edge}:${edgePort}\nAllowedIPs = 0.0.0.0/0, ::/0`,
      addresses,
    });
    for (const family of ['-4', '-6']) {
      const words = [family, 'route', 'add', 'default', 'dev', name, 'metric', String(metric)];
      await this.lab.client.run('ip', words, { allowFailure: true });
    }
  }

  /** What the site sees as asker, or how the request failed. */
  async fetched(url: string, more: readonly string[] = [], timeoutMs: number = readyMs): Promise<string> {
    const words = ['--silent', '--noproxy', '*', '--connect-timeout', '4', '--max-time', '20', ...more, url];
    const { exitCode, stdout } = await this.lab.client.run('curl', words, {
      allowFailure: true,
      timeoutMs,
    });
    const meanings: Readonly<Record<number, string>> = { 7: 'refused', 28: 'silence' };
    return exitCode === 0 ? stdout : (meanings[exitCode] ?? `curl ${exitCode}`);
  }

  /** A download that goes on until `finish`; resolves with its last word: who it came to. */
  startDownload(url: string, more: readonly string[] = []): Promise<string> {
    const words = ['--connect-timeout', '30', '--max-time', '240', ...more];
    return this.fetched(url, words, 250_000).then((text) => text.replace(/^x*/, ''));
  }

  /** Waits until the site has so many open downloads. */
  async downloading(count: number): Promise<void> {
    await until(async () => {
      const { stdout } = await this.lab.inet.run('ss', ['-Htn', 'state', 'established']);
      const open = stdout.split('\n').filter((line) => /:80(8[0-5])\s+\S+/.test(line));
      return open.length >= count;
    });
  }

  async finishDownloads(): Promise<void> {
    await this.lab.inet.run('curl', ['--silent', '--noproxy', '*', `http://${site.v4}:8080/end`]);
  }

  /** Everything that an edge may change on its host. */
  async hostState(): Promise<Record<string, string>> {
    const read = async (program: string, ...words: string[]): Promise<string> =>
      (await this.lab.edge.run(program, words, { allowFailure: true })).stdout;
    const routes = (text: string): string => text.replace(/ expires \d+sec/g, '');
    return {
      tables: await read('nft', 'list', 'ruleset'),
      links: await read('ip', '-brief', 'link'),
      rules: `${await read('ip', 'rule')}${await read('ip', '-6', 'rule')}`,
      routes: routes(await read('ip', 'route', 'show', 'table', 'all')),
      routesV6: routes(await read('ip', '-6', 'route', 'show', 'table', 'all')),
      settings: await read(
        'sh',
        '-c',
        'grep . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/ip_forward',
      ),
    };
  }

  async #secondUplink(): Promise<void> {
    const { edge, inet } = this.lab;
    const link = ['link', 'add', 'second', 'type', 'veth', 'peer', 'name', 'second', 'netns', inet.namespace];
    await edge.run('ip', link);
    for (const [host, v4, v6] of [
      [edge, second.edge, second.edgeV6],
      [inet, second.inet, second.inetV6],
    ] as const) {
      await host.run('ip', ['address', 'add', `${v4}/30`, 'dev', 'second']);
      await host.run('ip', ['address', 'add', `${v6}/64`, 'dev', 'second', 'nodad']);
      await host.run('ip', ['link', 'set', 'second', 'up']);
    }
    for (const address of [`${site.v4}/32`, `${site.other}/32`, `${site.v6}/128`, `${site.otherV6}/128`]) {
      await inet.run('ip', ['address', 'add', address, 'dev', 'lo']);
    }
    const routes = [
      ['via', labAddresses.inet],
      ['via', second.inet, 'dev', 'second', 'metric', '1000'],
      ['via', labAddresses.inetV6, 'dev', 'upstream'],
      ['via', second.inetV6, 'dev', 'second', 'metric', '2000'],
    ];
    for (const route of routes) await edge.run('ip', ['route', 'add', 'default', ...route]);
  }
}

export async function until(holds: () => Promise<boolean>, timeoutMs: number = readyMs): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
