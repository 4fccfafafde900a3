/**
 * Three hosts in one machine, made of network namespaces, for tests, demonstrations and benchmarks:
 *
 *     client ══ 192.0.2.0/24 ══ edge ══ 198.51.100.0/24 ══ inet
 *               2001:db8:a::/64         2001:db8:b::/64
 *
 * The client has no route to inet and inet has none back: an answer proves that a tunnel and a source NAT
 * carried it. Nothing here has a route to the machine's own network. Needs root and iproute2.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../core/base/assert.ts';
import { CulvertError } from '../../core/control/codes.ts';
import { type Run, type RunOptions, type RunResult, run } from '../run.ts';
import { Child, type ChildOptions } from './child.ts';
import { withEtc } from './private-etc.ts';
import { deadRecords, type LabRecord, markOf, recordFolder, removeRecord, writeRecord } from './record.ts';

export const labAddresses = {
  client: '192.0.2.1',
  clientV6: '2001:db8:a::1',
  /** The edge as the client sees it. */
  edge: '192.0.2.2',
  edgeV6: '2001:db8:a::2',
  /** The edge as inet sees it. */
  upstream: '198.51.100.1',
  upstreamV6: '2001:db8:b::1',
  inet: '198.51.100.2',
  inetV6: '2001:db8:b::2',
} as const;

export interface TopologyOptions {
  /** Begins the names of namespaces and folders: 1 to 16 of [a-z0-9-]. */
  readonly label: string;
  /** Of the link between client and edge, bytes; default 1500. */
  readonly mtu?: number;
  /** What the link between client and edge speaks; default both. */
  readonly underlay?: 'both' | 'v4' | 'v6';
  /**
   * 'wire' (default): every datagram crosses as its own packet, as on a network card without offloads.
   * 'bulk': trains of up to 64 KiB cross in one piece; flatters whoever sends them.
   */
  readonly profile?: 'wire' | 'bulk';
  /** Limit of the link between client and edge in both directions, Mbit/s. */
  readonly rateMbit?: number;
  /** Let the edge host forward and masquerade by itself, for tunnels that do not. Needs nftables. */
  readonly routing?: boolean;
}

export type HostName = 'client' | 'edge' | 'inet';

const hostNames: readonly HostName[] = ['client', 'edge', 'inet'];
const defaultMtu = 1500;
const endWaitMs = 3000;
const endPollMs = 50;
const deleteAttempts = 3;
const linkWaitMs = 5000;
const linkPollMs = 20;
const routingRules = `table inet lab_routing {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "upstream" masquerade
  }
}
`;

let labsOfThisProcess = 0;

/** One host of the lab: programs run inside its namespace. */
export class LabHost {
  readonly name: string;
  readonly namespace: string;
  readonly #etc: readonly string[];

  /** `etc`: a folder that stands in the place of /etc for its programs (private-etc.ts); absent: the machine's own. */
  constructor(name: string, namespace: string, etc?: string) {
    this.name = name;
    this.namespace = namespace;
    this.#etc = etc === undefined ? [] : withEtc(etc);
  }

  /** Runs a program to its end, as run.ts does. */
  run(program: string, parameters: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run('ip', ['netns', 'exec', this.namespace, ...this.#etc, program, ...parameters], options);
  }

  /** Starts a program that goes on. It ends with the lab, and with this process. */
  start(name: string, words: readonly string[], options?: ChildOptions): Promise<Child> {
    return Child.start(name, ['ip', 'netns', 'exec', this.namespace, ...this.#etc, ...words], options);
  }
}

export class Lab {
  readonly id: string;
  readonly client: LabHost;
  readonly edge: LabHost;
  readonly inet: LabHost;
  /** A folder for files of this lab; goes with it. */
  readonly folder: string;
  readonly #record: LabRecord;
  #down: Promise<void> | undefined;

  /** Clears away dead labs, then builds one. Where a step fails, what was built is taken away again. */
  static async up(options: TopologyOptions): Promise<Lab> {
    assert(/^[a-z0-9-]{1,16}$/.test(options.label), 'the label is short and plain');
    await sweepDeadLabs();
    const lab = new Lab(options.label);
    try {
      await lab.#build(options);
      return lab;
    } catch (cause) {
      await lab.down();
      throw cause;
    }
  }

  private constructor(label: string) {
    const owner = markOf(process.pid);
    assert(owner !== undefined, 'this process runs');
    this.id = `${label}-${process.pid}-${++labsOfThisProcess}`;
    const namespaces = hostNames.map((name) => `${this.id}-${name}`);
    this.folder = join(recordFolder, `${this.id}.files`);
    this.#record = { id: this.id, owner, namespaces, folders: [this.folder] };
    writeRecord(this.#record);
    mkdirSync(this.folder, { mode: 0o700 });
    this.client = new LabHost('client', `${this.id}-client`);
    this.edge = new LabHost('edge', `${this.id}-edge`);
    this.inet = new LabHost('inet', `${this.id}-inet`);
  }

  get hosts(): readonly LabHost[] {
    return [this.client, this.edge, this.inet];
  }

  /** Ends what still runs in the lab and removes it. Idempotent. */
  down(): Promise<void> {
    this.#down ??= dismantle(this.#record, run);
    return this.#down;
  }

  async #build(options: TopologyOptions): Promise<void> {
    const mtu = String(options.mtu ?? defaultMtu);
    for (const host of this.hosts) {
      await run('ip', ['netns', 'add', host.namespace]);
      await host.run('ip', ['link', 'set', 'lo', 'up']);
      // Addresses of IPv6 work at once: nobody else is on these links.
      await setKernel(host, 'net/ipv6/conf/all/accept_dad', '0');
      await setKernel(host, 'net/ipv6/conf/default/accept_dad', '0');
    }
    const [client, edge, inet] = this.hosts.map((host) => host.namespace);
    assert(client !== undefined && edge !== undefined && inet !== undefined, 'there are three hosts');
    const under = ['link', 'add', 'under', 'netns', client, 'mtu', mtu, 'type', 'veth'];
    await run('ip', [...under, 'peer', 'name', 'under', 'netns', edge, 'mtu', mtu]);
    const upstream = ['link', 'add', 'upstream', 'netns', edge, 'type', 'veth'];
    await run('ip', [...upstream, 'peer', 'name', 'upstream', 'netns', inet]);

    const underlay = options.underlay ?? 'both';
    const v4 = underlay !== 'v6';
    const v6 = underlay !== 'v4';
    await addAddresses(this.client, 'under', [v4 && '192.0.2.1/24', v6 && '2001:db8:a::1/64']);
    await addAddresses(this.edge, 'under', [v4 && '192.0.2.2/24', v6 && '2001:db8:a::2/64']);
    await addAddresses(this.edge, 'upstream', ['198.51.100.1/24', '2001:db8:b::1/64']);
    await addAddresses(this.inet, 'upstream', ['198.51.100.2/24', '2001:db8:b::2/64']);
    if (options.routing === true) await routeByItself(this.edge);
    for (const host of [this.client, this.edge]) await shape(host, options);
    for (const host of this.hosts) await linksUp(host);
  }
}

/** Takes away labs whose owners are dead. Returns how many. */
export async function sweepDeadLabs(): Promise<number> {
  const records = deadRecords();
  for (const record of records) await dismantle(record, run);
  return records.length;
}

async function addAddresses(
  host: LabHost,
  device: string,
  addresses: readonly (string | false)[],
): Promise<void> {
  for (const address of addresses) {
    if (address === false) continue;
    const noProbe = address.includes(':') ? ['nodad'] : [];
    await host.run('ip', ['address', 'add', address, 'dev', device, ...noProbe]);
  }
  await host.run('ip', ['link', 'set', device, 'up']);
}

/** The kernel announces carriers at most once a second; before that, IPv6 packets wait. */
async function linksUp(host: LabHost): Promise<void> {
  const deadline = performance.now() + linkWaitMs;
  for (;;) {
    const { stdout } = await host.run('ip', ['-brief', 'link', 'show', 'type', 'veth']);
    const links = stdout.split('\n').filter((line) => line !== '');
    if (links.every((line) => line.split(/\s+/)[1] === 'UP')) return;
    if (performance.now() > deadline)
      throw new CulvertError('timeout', { text: `Links in ${host.namespace} stay down.` });
    await pause(linkPollMs);
  }
}

async function routeByItself(host: LabHost): Promise<void> {
  await setKernel(host, 'net/ipv4/ip_forward', '1');
  await setKernel(host, 'net/ipv6/conf/all/forwarding', '1');
  await host.run('nft', ['-f', '-'], { stdin: routingRules });
}

/** Writes below /proc/sys inside the namespace. Path and value are ours, never input. */
async function setKernel(host: LabHost, path: string, value: string): Promise<void> {
  await host.run('tee', [`/proc/sys/${path}`], { stdin: value });
}

async function shape(host: LabHost, options: TopologyOptions): Promise<void> {
  if ((options.profile ?? 'wire') === 'wire') {
    await cutSegments(host);
    // A queue pushes back where a card's transmit ring would.
    const queue = ['qdisc', 'replace', 'dev', 'under', 'root', 'pfifo', 'limit', '1000'];
    await host.run('tc', queue, { allowFailure: true });
  }
  if (options.rateMbit !== undefined) {
    const bucket = ['tbf', 'rate', `${options.rateMbit}mbit`, 'burst', '32kb', 'latency', '50ms'];
    await host.run('tc', ['qdisc', 'replace', 'dev', 'under', 'root', ...bucket]);
  }
}

/** Trains are cut up before the link, as with a card that has no offloads. Without ethtool, `ip` can do it too. */
async function cutSegments(host: LabHost): Promise<void> {
  const features = ['tso', 'off', 'tx-udp-segmentation', 'off', 'tx-gso-list', 'off', 'gro', 'on'];
  const done = await host.run('ethtool', ['-K', 'under', ...features], { allowFailure: true });
  if (done.exitCode !== 0) await host.run('ip', ['link', 'set', 'under', 'gso_max_segs', '1']);
}

/** Ends what runs in the namespaces of a record, and removes them, its folders and the record itself. */
export async function dismantle(record: LabRecord, run: Run): Promise<void> {
  for (let attempt = 0; attempt < deleteAttempts; attempt++) {
    const present = new Set(await namespaceNames(run));
    const namespaces = record.namespaces.filter((name) => present.has(name));
    if (namespaces.length === 0) break;
    for (const name of namespaces) await endProcesses(name, run);
    for (const name of namespaces) await run('ip', ['netns', 'delete', name], { allowFailure: true });
  }
  const left = new Set(await namespaceNames(run));
  // With its record, the next run finds what would not go.
  if (record.namespaces.some((name) => left.has(name))) return;
  for (const folder of record.folders) rmSync(folder, { recursive: true, force: true });
  removeRecord(record.id);
}

async function namespaceNames(run: Run): Promise<readonly string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  return stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
}

/** Whatever runs in a namespace of ours was started for it. Asked first, so that it can clean up. */
async function endProcesses(namespace: string, run: Run): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = performance.now() + endWaitMs;
    for (const pid of await pidsIn(namespace, run)) kill(pid, signal);
    while ((await pidsIn(namespace, run)).length > 0 && performance.now() < deadline) await pause(endPollMs);
  }
}

async function pidsIn(namespace: string, run: Run): Promise<readonly number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', namespace], { allowFailure: true });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
