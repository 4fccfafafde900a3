/**
 * Limits of a device, by either backend, with a stock client and real TCP: its rate, its quota, and how fast it is gone
 * when it is revoked. Each changes while the edge runs.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import type { DeviceDetail } from '../../shared/core/registration/admin-api.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith, requireTools } from '../support/requires.ts';
import { type Backend, keysOf, readyMs, until } from './support/attack-world.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const suffix = process.pid % 10_000;
const deviceInterface = `cvtl${suffix}`;
const port = 51820;
const iperfPort = 5201;
const farPort = 8080;
const seconds = 6;
const conntrack = requireTools('conntrack');
const untracked = conntrack.ok ? '' : ` [connections are not looked at; enable with: ${conntrack.enable}]`;
/** Bytes a second. */
const rate = 2_000_000;
/** As much as is asked for: 'bytes=N', or until the asker goes. */
const giver = `require('net').createServer((s) => { s.on('error', () => 0); const b = Buffer.alloc(16384);
  const go = () => { while (s.write(b)); }; s.on('drain', go); go(); }).listen(${farPort}, '::', () => console.log('listening'))`;
/** Takes what comes and prints the sum ten times a second. */
const taker = `let n = 0; const s = require('net').connect(${farPort}, process.argv[1]);
  s.on('data', (b) => n += b.length).on('error', () => 0); setInterval(() => console.log('took ' + n), 100)`;

const started: Child[] = [];
const keys = keysOf();
let lab: Lab;
let folder: string;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'iperf3'] },
  'the limits of a device',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-limits' });
    }, 60_000);
    afterEach(() => Promise.all(started.splice(0).map((child) => child.end())));
    afterAll(() => lab?.down());

    describe.each<Backend>(['kernel', 'userspace'])('with the %s backend', (backend) => {
      test('hold its rate within five in a hundred, each way, and follow a reload', {
        timeout: 120_000,
      }, async () => {
        await startAll(backend, `deviceRate: ${rate}`);
        await startFar(['iperf3', '-s', '-p', String(iperfPort), '--forceflush'], /Server listening/);

        const down = await throughput('-R');
        const up = await throughput();
        expect.soft(down / rate, 'download').toBeGreaterThan(0.95);
        expect.soft(down / rate, 'download').toBeLessThan(1.05);
        expect.soft(up / rate, 'upload').toBeGreaterThan(0.95);
        expect.soft(up / rate, 'upload').toBeLessThan(1.05);

        // A device has its own before that of all.
        await edge('device', 'rate', 'laptop', '4MB');
        const own = await throughput('-R');
        expect.soft(own / (2 * rate), 'its own').toBeGreaterThan(0.95);
        expect.soft(own / (2 * rate), 'its own').toBeLessThan(1.05);

        await edge('device', 'rate', 'laptop', 'none');
        writeConfig(backend, 'deviceRate: 0');
        await edge('reload');
        // The control: without a limit it is much faster.
        expect(await throughput('-R')).toBeGreaterThan(3 * rate);
        expect((await status()).drops['over-rate']).toBeGreaterThan(0);
      });

      test('hold its quota to a packet, and disable it', { timeout: 60_000 }, async () => {
        const quota = 8_000_000;
        await startAll(backend, `deviceRate: ${rate}`);
        await startFar([process.execPath, '-e', giver], /listening/);
        // One of another size first, which is raised while it counts.
        await edge('device', 'quota', 'laptop', '1GB');
        const asking = await take();
        await until(() => lastTaken(asking) > 500_000, 'something is taken');
        await edge('device', 'quota', 'laptop', String(quota));

        await expect.poll(async () => (await device()).enabled, { timeout: 20_000 }).toBe(false);
        const { rxBytes, txBytes } = await device();
        expect(rxBytes + txBytes).toBeLessThanOrEqual(quota);
        expect(rxBytes + txBytes).toBeGreaterThan(quota - 1500);
        expect(lastTaken(asking)).toBeLessThan(quota);
      });

      test(`cut what it has open within a second when it is revoked${untracked}`, {
        timeout: 60_000,
      }, async () => {
        await startAll(backend, 'deviceRate: 1000000');
        await startFar([process.execPath, '-e', giver], /listening/);
        const asking = await take();
        await until(() => lastTaken(asking) > 200_000, 'something is taken');
        const [address = ''] = (await device()).addresses;
        const tracked = async (): Promise<string> =>
          (await lab.edge.run('conntrack', ['-L', '-s', address], { allowFailure: true })).stdout;
        const hasTracking = backend === 'kernel' && conntrack.ok;
        if (hasTracking) expect(await tracked()).toContain(`dport=${farPort}`);

        await edge('device', 'remove', 'laptop');
        const removedAt = performance.now();
        const atRemoval = lastTaken(asking);
        if (hasTracking) {
          await until(async () => (await tracked()) === '', 'its connections are forgotten');
          expect(performance.now() - removedAt).toBeLessThan(1000);
        }

        await until(async () => (await status()).devices.length === 0, 'the tunnel forgets it');
        const after = lastTaken(asking);
        // What a second of its rate would have been, and then nothing.
        expect(after - atRemoval).toBeLessThan(1_000_000);
        await new Promise((resolve) => setTimeout(resolve, 500));
        expect(lastTaken(asking)).toBe(after);
      });
    });
  },
);

function writeConfig(backend: Backend, limits: string): void {
  writeFileSync(
    join(folder, 'edge.yaml'),
    `name: home
endpoint: ${labAddresses.edge}
interface: cvtm${suffix}
listen: { udp: [${port}], https: [], metrics: off }
network: { v4: 10.83.0.0/16 }
dns: { upstreams: [] }
egress: { backend: ${backend} }
limits: { ${limits} }
`,
  );
}

/** The edge, and a stock client of its store, all traffic through the tunnel. */
async function startAll(backend: Backend, limits: string): Promise<void> {
  folder = join(lab.folder, `edge-${backend}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(folder, { mode: 0o700 });
  writeConfig(backend, limits);
  await edge('device', 'add', 'laptop', '--public-key', keys.publicKey);
  const running = await lab.edge.start('edge', [edgeProgram, 'run', '--data', folder]);
  started.push(running);
  await running.waitFor(/^ready$/m, readyMs);
  const { publicKey } = await status();
  started.push(await lab.client.start('wireguard-go', ['wireguard-go', '-f', deviceInterface]));
  const { client } = lab;
  const isUp = async (): Promise<boolean> =>
    (await client.run('wg', ['show', deviceInterface], { allowFailure: true })).exitCode === 0;
  await until(isUp, 'wireguard-go is there');
  const config = `[Interface]\nPrivateKey = ${keys.privateKey}\n[Peer]\nPublicKey = ${publicKey}
Endpoint = ${labAddresses.edge}:${port}\nAllowedIPs = 0.0.0.0/0\n`;
  await client.run('wg', ['setconf', deviceInterface, '/dev/stdin'], { stdin: config });
  const [address = ''] = (await device()).addresses;
  await client.run('ip', ['address', 'add', address, 'dev', deviceInterface]);
  await client.run('ip', ['link', 'set', deviceInterface, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', 'default', 'dev', deviceInterface]);
}

async function startFar(words: readonly string[], isReady: RegExp): Promise<void> {
  const far = await lab.inet.start('far', words);
  started.push(far);
  await far.waitFor(isReady, readyMs);
}

/** Bytes a second of one TCP connection, as its receiver counts them. */
async function throughput(...more: readonly string[]): Promise<number> {
  const words = [
    '-c',
    labAddresses.inet,
    '-p',
    String(iperfPort),
    '-t',
    String(seconds),
    '-J',
    '--forceflush',
    ...more,
  ];
  const { stdout } = await lab.client.run('iperf3', words, { timeoutMs: 30_000, maxOutputBytes: 4_000_000 });
  const { end } = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 8;
}

async function take(): Promise<Child> {
  const asking = await lab.client.start('taker', [process.execPath, '-e', taker, labAddresses.inet]);
  started.push(asking);
  return asking;
}

function lastTaken(asking: Child): number {
  return Number(/.*took (\d+)/s.exec(asking.stdout)?.[1] ?? 0);
}

async function edge(...words: readonly string[]): Promise<string> {
  return (await lab.edge.run(edgeProgram, [...words, '--data', folder])).stdout;
}

async function device(): Promise<DeviceDetail> {
  return JSON.parse(await edge('device', 'show', 'laptop', '--json')) as DeviceDetail;
}

async function status(): Promise<EdgeStatus> {
  return JSON.parse(await edge('status', '--json')) as EdgeStatus;
}
