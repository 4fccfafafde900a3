// An edge with obfuscation in its edge.yaml, as real programs: what devices are told, the tunnel over UDP and inside TLS,
// the file for stock apps, what the doctors say, and a client that speaks plain WireGuard.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import { fullFields } from '../support/disguises.ts';
import { describeWith } from '../support/requires.ts';
import { MovingWorld } from './support/moving-world.ts';
import { ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

const yaml = `obfuscation:
  junk: { count: 4, min: 40, max: 900 }
  prefix: { initiation: 33, response: 71, cookieReply: 20, data: 18 }
  types: { initiation: 100000-200000, response: 300000-400000, cookieReply: 500000-600000, data: 700000-800000 }
`;
const trace = 'http://edge.culvert/trace';

describeWith({ tools: proxyEdgeTools }, 'an edge with obfuscation', () => {
  let world: ProxyEdge;

  beforeAll(async () => {
    world = await ProxyEdge.start((text) => text + yaml);
    await world.runDaemon();
  });
  afterAll(async () => {
    await world?.close();
  });

  const edgeStatus = (): EdgeStatus => JSON.parse(world.edge('status', '--json')) as EdgeStatus;

  test('says so in its status, to programs and to people', () => {
    expect(edgeStatus().obfuscation).toEqual(fullFields);
    expect(world.edge('status')).toMatch(/^ {2}obfuscation {3}Jc 4, Jmin 40, .* H4 700000-800000$/m);
  });

  test('hands it to a device that enrols, which then connects and says so', () => {
    world.culvert('enroll', world.invite('--name', 'laptop'));
    world.culvert('connect', '--wait');

    const status = world.status();
    expect(status).toMatchObject({
      state: 'connected',
      edge: { transport: 'udp', obfuscation: fullFields },
    });
    expect(world.curl(trace).out).toMatch(/^device=laptop$/m);
    // Plain WireGuard would be counted as what fits no disguise; our noise is.
    expect(edgeStatus().drops['undisguised']).toBeGreaterThan(0);
    expect(edgeStatus().drops['unknown-type']).toBeUndefined();
  });

  test('is asked in its own disguise by netcheck and by the edge’s doctor', () => {
    const { facts } = JSON.parse(world.tryCulvert('netcheck', '--json').out) as { readonly facts: unknown };
    expect(JSON.stringify(facts)).toContain('"answer":"handshake"');
    const text = world.try(
      new URL('../../edge/main.ts', import.meta.url).pathname,
      'doctor',
      '--data',
      world.data,
    ).out;
    expect(text).toMatch(/Packets to \S+ reach the edge on/);
  });

  test('is followed by a device when it changes, though that is no longer answered', async () => {
    await world.endEdge();
    world.configure((text) => text.replace('100000-200000', '910000-920000'));
    await world.runEdge();

    const wanted = { state: 'connected', edge: { obfuscation: { ...fullFields, h1: '910000-920000' } } };
    await vi.waitFor(() => expect(world.status()).toMatchObject(wanted), patience);
    expect(world.curl(trace).out).toMatch(/^device=laptop$/m);
  });

  test('writes it into the file for apps, which our client imports and others cannot use without it', async () => {
    world.culvert('disconnect');
    const conf = world.edge('device', 'add', 'phone', '--generate');
    expect(conf).toMatch(/^# This edge disguises WireGuard: only the AmneziaWG apps/);
    const file = join(world.folder, 'phone.conf');
    writeFileSync(file, conf, { mode: 0o644 });
    const plain = join(world.folder, 'plain.conf');
    writeFileSync(plain, conf.replaceAll(/^(?:J|S|H)[a-z0-9]+ = .*\n/gm, ''), { mode: 0o644 });

    world.culvert('import', file, '--name', 'phone');
    world.culvert('edge', 'use', 'phone');
    world.culvert('connect', '--wait');
    expect(world.status().edge).toMatchObject({ name: 'phone', obfuscation: { h2: fullFields.h2 } });
    expect(world.curl(trace).out).toMatch(/^device=phone$/m);

    world.culvert('disconnect');
    const before = edgeStatus().drops['undisguised'] ?? 0;
    world.culvert('import', plain, '--name', 'plain');
    world.culvert('edge', 'use', 'plain');
    world.culvert('connect');
    await vi.waitFor(() => expect(edgeStatus().drops['undisguised'] ?? 0).toBeGreaterThan(before), patience);
    expect(world.status().state).not.toBe('connected');
    expect(world.status().edge).not.toHaveProperty('obfuscation');
    expect(readFileSync(file, 'utf8')).toContain(`H2 = ${fullFields.h2}`);
    world.culvert('disconnect');
    for (const one of [file, plain]) rmSync(one);
  });
});

describeWith({ namespaces: true, tools: ['ip', 'nft'] }, 'a whole device on an edge with obfuscation', () => {
  const world = new MovingWorld((process.pid + 1) % 100_000);

  beforeAll(async () => {
    await world.open((text) => text + yaml);
    // What a passer-by who looks for WireGuard counts: datagrams that begin with one of its types.
    const types = ['01', '02', '03', '04'].map((type) => `0x${type}000000`).join(', ');
    const chain = `chain w { type filter hook forward priority -10;
      meta l4proto udp udp dport 51820 counter name "heard"
      meta l4proto udp @th,64,32 { ${types} } counter name "bare"
    }`;
    const counters = 'counter heard {}\ncounter bare {}';
    world.inMiddle('nft', ['-f', '-'], `table inet passer {\n${counters}\n${chain}\n}\n`);
    world.startDaemon();
    world.enroll();
    world.ok('mode', 'tunnel');
  });
  afterAll(() => world.close());

  function counted(name: 'heard' | 'bare'): number {
    const text = world.inMiddle('nft', ['list', 'counter', 'inet', 'passer', name]);
    return Number(/packets (\d+)/.exec(text)?.[1]);
  }

  async function carries(): Promise<boolean | undefined> {
    const flow = await world.flow();
    await flow.take();
    const { alive } = await flow.take();
    flow.close();
    return alive;
  }

  test('connects over UDP, where nobody sees WireGuard', async () => {
    world.ok('connect', '--wait');

    expect(world.status().edge).toMatchObject({ transport: 'udp', obfuscation: fullFields });
    expect(await carries()).toBe(true);
    expect(counted('heard')).toBeGreaterThan(10);
    expect(counted('bare')).toBe(0);
    world.ok('disconnect');
  });

  test('goes inside TLS where no UDP passes, in the same disguise', async () => {
    const chain = 'chain f { type filter hook forward priority 2; meta l4proto udp drop\n}';
    world.inMiddle('nft', ['-f', '-'], `table inet block {\n${chain}\n}\n`);
    world.ok('connect', '--wait');

    expect(world.status().edge).toMatchObject({ transport: 'tls', obfuscation: fullFields });
    expect(await carries()).toBe(true);
    world.inMiddle('nft', ['delete', 'table', 'inet', 'block']);
    world.ok('disconnect');
  });

  test('follows an edge that changed it meanwhile', async () => {
    world.killEdge();
    const path = join(world.folder, 'edge', 'edge.yaml');
    writeFileSync(path, readFileSync(path, 'utf8').replace('100000-200000', '910000-920000'));
    await world.startEdge();
    world.ok('connect');

    const wanted = { state: 'connected', edge: { obfuscation: { ...fullFields, h1: '910000-920000' } } };
    await vi.waitFor(() => expect(world.status()).toMatchObject(wanted), patience);
    expect(await carries()).toBe(true);
  });
});
