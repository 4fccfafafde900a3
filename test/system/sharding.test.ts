/** Tunnels of two workers with real peers: what the routes lead where, who moves, and what ends together. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import { workerOf } from '../../edge/plan.ts';
import { routeChanges, type ShardRoute, shardRoutes } from '../../shared/core/tunnel/shard-routes.ts';
import { eventually, type Host, Lab, type Running } from '../interop/support/hosts.ts';
import { newInterfaceName, root, startWg, type Wg } from '../interop/support/implementations.ts';
import { type Key, newKey, reaches, secretFile } from '../interop/support/pair.ts';
import { describeWith } from '../support/requires.ts';

const ports = [51820, 51821] as const;
/** The hub's inside the tunnel. */
const hubAddress = '10.77.0.100';
/** Begins the program's answers; its log is between them. */
const answerMark = 'answer ';
const startMs = 15_000;

interface Client {
  readonly host: Host;
  readonly wg: Wg;
  readonly key: Key;
  /** Inside the tunnel. */
  readonly address: string;
  /** The hub as this client reaches it. */
  readonly hubAddress: string;
}

interface Shard {
  readonly interfaceName: string;
  readonly listenPort: number;
  readonly peers: readonly {
    readonly publicKey: string;
    readonly allowedIps: readonly string[];
    readonly rxBytes: number;
  }[];
}

let lab: Lab;
let hub: Host;
let clients: readonly Client[];
let hubKey: Key;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'ping', 'nft'] },
  'a tunnel of two workers',
  () => {
    beforeAll(async () => {
      lab = new Lab();
      hub = await lab.host();
      hubKey = newKey();
      clients = await Promise.all([0, 1, 2, 3].map((n) => startClient(n)));
    });

    afterAll(() => lab.close());

    let running: Running | undefined;
    let name: string;
    beforeEach(() => {
      name = newInterfaceName();
    });
    afterEach(() => running?.stop());

    test('carries four peers over the routes of the kernel, and lets one move', async () => {
      const tunnel = await startSharded(name);
      running = tunnel.program;
      let routes: readonly ShardRoute[] = [];
      const follow = async (): Promise<readonly Shard[]> => {
        const shards = await tunnel.shards();
        routes = await setRoutes(routes, shards);
        return shards;
      };
      await tunnel.ask({ change: { privateKey: hubKey.secret, peers: [] } });
      for (const [n, client] of clients.entries()) {
        await tunnel.ask({ home: n % 2, change: { peers: [peerOf(client)] } });
        await connect(client, ports[n % 2]!);
      }
      const before = await follow();

      expect(before.map(({ peers }) => peers.length)).toEqual([2, 2]);
      expect(before.map(({ listenPort }) => listenPort)).toEqual([...ports]);
      expect(await reachesAll(hubAddress)).toEqual([true, true, true, true]);
      expect(await hubReachesAll()).toEqual([true, true, true, true]);
      // The first worker's peer takes an address of the second's: routes and checks follow at once.
      const [first, second] = [clients[0]!, clients[1]!];
      await tunnel.ask({ change: { peers: [{ ...peerOf(first), allowedIps: [`${second.address}/32`] }] } });
      const stolen = await follow();
      expect(allowedOf(stolen, second)).toEqual([]);
      expect(await reaches(second.host, hubAddress, 1)).toBe(false);

      // Back to its owner, who moves to the other worker and connects there.
      const remove = { publicKey: second.key.public, remove: true, allowedIps: [] };
      await tunnel.ask({ home: 0, change: { peers: [remove, peerOf(second)] } });
      await connect(second, ports[0]);
      const moved = await follow();

      expect(moved.map(({ peers }) => peers.length)).toEqual([3, 1]);
      expect(routes.find((route) => route.prefix === `${second.address}/32`)?.interfaceName).toBe(name);
      expect(await reachesAll(hubAddress)).toEqual([true, true, true, true]);
      expect(await hubReachesAll()).toEqual([true, true, true, true]);
    });

    test('refuses a peer the address that a peer of the other worker has inside its network', async () => {
      const tunnel = await startSharded(name);
      running = tunnel.program;
      const [wide, single] = [clients[0]!, clients[1]!];
      const network = { ...peerOf(wide), allowedIps: ['10.77.0.0/27'] };
      await tunnel.ask({ home: 0, change: { privateKey: hubKey.secret, peers: [network] } });
      await tunnel.ask({ home: 1, change: { peers: [peerOf(single)] } });
      await connect(wide, ports[0]);
      await setRoutes([], await tunnel.shards());
      const refused = async (): Promise<number> => {
        const { drops } = JSON.parse(await tunnel.ask({ drops: true })) as { drops: Record<string, number> };
        return drops['disallowed-source'] ?? 0;
      };

      expect(await reaches(wide.host, hubAddress)).toBe(true);
      expect(await refused()).toBe(0);
      await wide.host.run('ip', 'addr', 'add', `${single.address}/32`, 'dev', wide.wg.name);
      const words = ['ping', '-c', '1', '-W', '1', '-I', single.address, hubAddress];
      const borrowed = await wide.host.try(words);
      await wide.host.run('ip', 'addr', 'del', `${single.address}/32`, 'dev', wide.wg.name);

      expect(borrowed.code).not.toBe(0);
      expect(await refused()).toBe(1);
    });

    test('ends as a whole where the interface of one worker is taken away', async () => {
      const tunnel = await startSharded(name);
      running = tunnel.program;
      await tunnel.ask({ change: { privateKey: hubKey.secret, peers: clients.map(peerOf) } });

      await hub.run('ip', 'link', 'delete', `${name}a`);

      expect(await tunnel.program.ended).toBe(3);
      expect(tunnel.program.text()).toContain('"ended":"gone"');
      expect(await hub.run('ip', '-brief', 'link')).not.toContain(name);
    });

    test('says which port is taken, and leaves no interface behind', async () => {
      const script = `require('dgram').createSocket('udp4').bind(${ports[1]}, () => console.log('bound'))`;
      const other = hub.start([process.execPath, '-e', script]);
      await eventually(() => other.text().includes('bound'));

      const program = hub.start(programWords(name));
      const code = await program.ended;
      await other.stop();

      expect(code).not.toBe(0);
      expect(program.text()).toContain(`${ports[1]} is in use`);
      expect(await hub.run('ip', '-brief', 'link')).not.toContain(name);
    });

    test('is what an edge with two workers runs on: each device at its own port', async () => {
      const folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      const [one, two] = [clients[0]!, clients[1]!].map((client, n) => ({ ...client, key: keyFor(n) }));
      const peers = [one!, two!].map(
        ({ key, address }, n) =>
          `  - { name: d${n}, publicKey: "${key.public}", allowedIps: [${address}, "fd77::1${n}"] }\n`,
      );
      writeFileSync(
        join(folder, 'edge.yaml'),
        `interface: ${name}\nworkers: 2\nlisten: { udp: [${ports.join()}] }\nnetwork: { v4: 10.77.0.0/24, v6: "fd77::/64" }\npeers:\n${peers.join('')}`,
      );
      const program = join(root, 'node_modules', '.bin', 'culvert-edge');
      running = hub.start([program, 'run', '--data', folder]);
      const edge = running;
      expect(await eventually(() => /^ready$/m.test(edge.text()) || edge.hasEnded(), startMs)).toBe(true);
      const ask = async (): Promise<EdgeStatus> =>
        JSON.parse(await hub.run(program, 'status', '--json', '--data', folder)) as EdgeStatus;
      const status = await ask();
      for (const [n, client] of [one!, two!].entries()) {
        await client.wg.set(`private-key ${secretFile(lab, client.key.secret)}`);
        await connect(client, ports[n]!, status.publicKey);
      }

      expect(status.devices.map((device) => device.udpPort)).toEqual([...ports]);
      // The edge's own address answers over both workers' interfaces.
      expect(await reaches(one!.host, '10.77.0.1')).toBe(true);
      expect(await reaches(two!.host, '10.77.0.1')).toBe(true);
      expect((await ask()).devices.every((device) => device.rxBytes > 0)).toBe(true);
      const guard = await hub.run('nft', 'list', 'table', 'inet', 'culvert_edge');
      expect(guard).toContain(`iifname { "${name}", "${name}a" } jump leaving`);

      expect(await hub.run('ip', '-6', 'route', 'show', 'dev', `${name}a`)).toContain('fd77::11 ');

      await edge.stop();
      expect(await edge.ended).toBe(0);
      expect(await hub.run('ip', '-brief', 'link')).not.toContain(name);
    });
  },
);

/** A host with a stock peer or one of ours, on a cable of its own to the hub. */
async function startClient(n: number): Promise<Client> {
  const host = await lab.host();
  const cable = `eth${n}`;
  await lab.link(host, hub, cable);
  await host.run('ip', 'addr', 'add', `192.0.2.${4 * n + 1}/30`, 'dev', cable);
  await hub.run('ip', 'addr', 'add', `192.0.2.${4 * n + 2}/30`, 'dev', cable);
  const wg = await startWg(host, n < 2 ? 'ours' : 'reference');
  const key = newKey();
  const address = `10.77.0.${10 + n}`;
  await wg.set(`private-key ${secretFile(lab, key.secret)}`);
  await host.script(`
    ip addr add ${address}/24 dev ${wg.name}
    ip link set ${wg.name} mtu 1420 up
  `);
  return { host, wg, key, address, hubAddress: `192.0.2.${4 * n + 2}` };
}

/** A key that an edge of two workers gives to worker `n`. */
function keyFor(n: number): Key {
  for (;;) {
    const key = newKey();
    if (workerOf(Buffer.from(key.public, 'base64'), 2) === n) return key;
  }
}

function peerOf(client: Client): { publicKey: string; allowedIps: string[] } {
  return { publicKey: client.key.public, allowedIps: [`${client.address}/32`] };
}

/** Tells a client where the hub is, with nothing left of what it knew. */
async function connect(client: Client, port: number, key = hubKey.public): Promise<void> {
  for (const old of (await client.wg.show('peers')).split('\n').filter(Boolean)) {
    await client.wg.set(`peer ${old} remove`);
  }
  await client.wg.set(`peer ${key} allowed-ips 10.77.0.0/24 endpoint ${client.hubAddress}:${port}`);
}

function programWords(name: string): string[] {
  const program = join(root, 'test', 'system', 'support', 'sharded-program.ts');
  return [process.execPath, program, name, ...ports.map(String)];
}

async function startSharded(name: string) {
  const program = hub.start(programWords(name));
  const line = (n: number): string | undefined => {
    const whole = program.text().split('\n').slice(0, -1);
    return whole.filter((one) => one.startsWith(answerMark))[n]?.slice(answerMark.length);
  };
  let read = 0;
  const answer = async (): Promise<string> => {
    await eventually(() => line(read) !== undefined || program.hasEnded(), startMs);
    const text = line(read++);
    if (text === undefined) throw new Error(`the program ended: ${program.text()}`);
    return text;
  };
  expect(JSON.parse(await answer())).toEqual({ ready: [name, `${name}a`] });
  await hub.script(`
    ip addr add ${hubAddress}/24 dev ${name}
    ip link set ${name} up
    ip link set ${name}a up
  `);
  const ask = async (command: object): Promise<string> => {
    program.child.stdin?.write(`${JSON.stringify(command)}\n`);
    return answer();
  };
  const shards = async (): Promise<readonly Shard[]> =>
    (JSON.parse(await ask({ shards: true })) as { shards: readonly Shard[] }).shards;
  return { program, ask, shards };
}

/** Brings the hub's routes to where the planner wants them. */
async function setRoutes(
  before: readonly ShardRoute[],
  shards: readonly Shard[],
): Promise<readonly ShardRoute[]> {
  const wanted = shardRoutes(shards);
  const { add, remove } = routeChanges(before, wanted);
  for (const { prefix, interfaceName } of add) {
    await hub.run('ip', 'route', 'replace', prefix, 'dev', interfaceName, 'src', hubAddress);
  }
  for (const { prefix, interfaceName } of remove) {
    await hub.run('ip', 'route', 'delete', prefix, 'dev', interfaceName);
  }
  return wanted;
}

function allowedOf(shards: readonly Shard[], client: Client): readonly string[] | undefined {
  return shards.flatMap(({ peers }) => peers).find((peer) => peer.publicKey === client.key.public)
    ?.allowedIps;
}

function reachesAll(address: string): Promise<boolean[]> {
  return Promise.all(clients.map(({ host }) => reaches(host, address, 4)));
}

function hubReachesAll(): Promise<boolean[]> {
  return Promise.all(clients.map(({ address }) => reaches(hub, address, 4)));
}
