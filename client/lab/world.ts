/**
 * The places of `culvert lab`, made of network namespaces, with everything a laptop meets on its way:
 *
 *   laptop ─ up0 192.0.2.0/24, 2001:db8:1::/64 ─┐          ┌─ out0 203.0.113.0/24, 2001:db8:3::/64 ─ edge
 *          ─ up1 192.0.3.0/24, 2001:db8:2::/64 ─┴─ router ─┴─ web0 198.51.100.0/24 ─ web
 *
 * Without a tunnel the laptop reaches the web, and is seen there with its own address: a page tells which way it
 * came. Written down before it is made, as every lab: what dies leaves nothing behind that the next one does not find.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../shared/core/base/assert.ts';
import { makeEtc } from '../../shared/node/lab/private-etc.ts';
import { type LabRecord, markOf, recordFolder, writeRecord } from '../../shared/node/lab/record.ts';
import { dismantle, LabHost, sweepDeadLabs } from '../../shared/node/lab/topology.ts';
import { run } from '../../shared/node/run.ts';
import { type Fault, routerLinks, routerRules } from './networks.ts';

export const places = {
  laptop: ['192.0.2.2', '192.0.3.2'],
  router: '192.0.2.1',
  edge: '203.0.113.1',
  edgeV6: '2001:db8:3::1',
  web: '198.51.100.2',
  /** Of the same server: where pages are by which systems look for a sign-in. Nobody else goes there. */
  checks: '198.51.100.9',
} as const;

/** As the laptop's name server knows it. */
export const edgeName = 'edge.example';
export const pageUrl: string = `http://${places.web}/`;
/** Without an end. */
export const downloadUrl: string = `${pageUrl}down`;

const usualMtu = 1500;
let worldsOfThisProcess = 0;

export class LabWorld {
  readonly laptop: LabHost;
  readonly router: LabHost;
  readonly edge: LabHost;
  readonly web: LabHost;
  /** For files of this lab; goes with it. */
  readonly folder: string;
  readonly #record: LabRecord;
  #down: Promise<void> | undefined;

  /** Takes away dead labs, then builds one. Where a step fails, what was built is taken away again. */
  static async build(): Promise<LabWorld> {
    await sweepDeadLabs();
    const world = new LabWorld();
    try {
      await world.#build();
      return world;
    } catch (cause) {
      await world.down();
      throw cause;
    }
  }

  private constructor() {
    const owner = markOf(process.pid);
    assert(owner !== undefined, 'this process runs');
    const id = `culvert-bad-${process.pid}-${++worldsOfThisProcess}`;
    const host = (name: string, etc?: string): LabHost => new LabHost(name, `${id}-${name}`, etc);
    this.folder = join(recordFolder, `${id}.files`);
    // The laptop's daemon changes files there; those of this machine are never touched.
    const etc = join(this.folder, 'etc');
    this.laptop = host('laptop', etc);
    this.router = host('router');
    this.edge = host('edge');
    this.web = host('web');
    const namespaces = this.#hosts.map(({ namespace }) => namespace);
    this.#record = { id, owner, namespaces, folders: [this.folder] };
    writeRecord(this.#record);
    mkdirSync(this.folder, { mode: 0o700 });
    makeEtc(etc, {
      'resolv.conf': `nameserver ${places.router}\noptions timeout:1 attempts:2\n`,
      hosts: '127.0.0.1 localhost\n::1 localhost\n',
    });
  }

  /** Exactly these faults hold at the router. */
  async hold(faults: readonly Fault[]): Promise<void> {
    await this.router.run('nft', ['-f', '-'], { stdin: routerRules(faults) });
  }

  /** The link to the edge takes IP packets of so many bytes. */
  async narrow(bytes: number): Promise<void> {
    for (const host of [this.router, this.edge]) {
      await host.run('ip', ['link', 'set', routerLinks.edge, 'mtu', String(bytes)]);
    }
  }

  /** The laptop leaves its network for the other one. */
  async move(): Promise<void> {
    const [left, right] = routerLinks.laptop;
    const lines = [
      `link set ${left} down`,
      `addr add ${places.laptop[1]}/24 dev ${right}`,
      `addr add 2001:db8:2::2/64 dev ${right} nodad`,
      `link set ${right} up`,
      `route replace default via 192.0.3.1 dev ${right}`,
      `-6 route replace default via 2001:db8:2::1 dev ${right}`,
    ];
    await this.#batch(this.laptop, lines);
  }

  /** As it was built. */
  async restore(): Promise<void> {
    await this.hold([]);
    await this.narrow(usualMtu);
    const [, away] = routerLinks.laptop;
    await this.#batch(this.laptop, [`link set ${away} down`, `addr flush dev ${away}`, ...homeLines]);
    // What routers said of the size of packets is remembered for ten minutes.
    for (const version of ['-4', '-6']) await this.laptop.run('ip', [version, 'route', 'flush', 'cache']);
  }

  async unplug(): Promise<void> {
    await this.laptop.run('ip', ['link', 'set', routerLinks.laptop[0], 'down']);
  }

  async plugIn(): Promise<void> {
    await this.#batch(this.laptop, homeLines);
  }

  /** Ends what still runs in it and removes it. Idempotent. */
  down(): Promise<void> {
    this.#down ??= dismantle(this.#record, run);
    return this.#down;
  }

  get #hosts(): readonly LabHost[] {
    return [this.laptop, this.router, this.edge, this.web];
  }

  async #build(): Promise<void> {
    for (const host of this.#hosts) {
      await run('ip', ['netns', 'add', host.namespace]);
      await host.run('ip', ['link', 'set', 'lo', 'up']);
    }
    for (const name of routerLinks.laptop) await this.#link(this.laptop, name);
    await this.#link(this.edge, routerLinks.edge);
    await this.#link(this.web, routerLinks.web);
    await this.#batch(this.router, routerLines);
    await this.#batch(this.edge, edgeLines);
    await this.#batch(this.web, webLines);
    for (const path of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) {
      await this.router.run('tee', [`/proc/sys/${path}`], { stdin: '1' });
    }
    await this.plugIn();
  }

  async #link(host: LabHost, name: string): Promise<void> {
    const own = ['link', 'add', name, 'netns', host.namespace, 'mtu', String(usualMtu), 'type', 'veth'];
    await run('ip', [...own, 'peer', 'name', name, 'netns', this.router.namespace]);
    // Every datagram crosses as its own packet: else trains of them would be judged as one.
    for (const end of [host, this.router]) {
      await end.run('ip', ['link', 'set', name, 'addrgenmode', 'none', 'gso_max_segs', '1']);
    }
  }

  async #batch(host: LabHost, lines: readonly string[]): Promise<void> {
    const v6 = lines.filter((line) => line.startsWith('-6 ')).map((line) => line.slice(3));
    const rest = lines.filter((line) => !line.startsWith('-6 '));
    await host.run('ip', ['-batch', '-'], { stdin: `${rest.join('\n')}\n` });
    if (v6.length > 0) await host.run('ip', ['-6', '-batch', '-'], { stdin: `${v6.join('\n')}\n` });
  }
}

const homeLines: readonly string[] = [
  'link set up0 up',
  `addr replace ${places.laptop[0]}/24 dev up0`,
  'addr replace 2001:db8:1::2/64 dev up0 nodad',
  `route replace default via ${places.router} dev up0`,
  '-6 route replace default via 2001:db8:1::1 dev up0',
];
const routerLines: readonly string[] = [
  `addr add ${places.router}/24 dev up0`,
  'addr add 2001:db8:1::1/64 dev up0 nodad',
  'addr add 192.0.3.1/24 dev up1',
  'addr add 2001:db8:2::1/64 dev up1 nodad',
  'addr add 203.0.113.254/24 dev out0',
  'addr add 2001:db8:3::fe/64 dev out0 nodad',
  'addr add 198.51.100.1/24 dev web0',
  ...['up0', 'up1', 'out0', 'web0'].map((name) => `link set ${name} up`),
];
const edgeLines: readonly string[] = [
  `addr add ${places.edge}/24 dev out0`,
  `addr add ${places.edgeV6}/64 dev out0 nodad`,
  'link set out0 up',
  'route add default via 203.0.113.254',
  '-6 route add default via 2001:db8:3::fe',
];
const webLines: readonly string[] = [
  `addr add ${places.web}/24 dev web0`,
  `addr add ${places.checks}/24 dev web0`,
  'link set web0 up',
  'route add default via 198.51.100.1',
];
