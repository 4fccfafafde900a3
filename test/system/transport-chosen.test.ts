// Whoever chose TLS has it or an error: also at an edge that is known by a number, on this very machine, and where the
// tunnel stood over UDP until a moment ago.
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

describeWith({ tools: proxyEdgeTools }, 'TLS chosen for an edge on loopback', () => {
  let world: ProxyEdge;

  beforeAll(async () => {
    world = await ProxyEdge.start();
    await world.runDaemon();
    world.culvert('enroll', world.invite('--name', 'laptop'));
  }, 120_000);

  afterAll(() => world.close(), 60_000);

  const carried = (): unknown => {
    const { state, edge } = world.status();
    return { state, transport: edge?.transport, endpoint: edge?.endpoint };
  };
  const inTls = (): unknown => ({
    state: 'connected',
    transport: 'tls',
    endpoint: `127.0.0.1:${world.https}`,
  });

  function begin(transport: string): void {
    world.culvert('disconnect');
    world.culvert('edge', 'use', 'lab');
    world.culvert('settings', 'set', 'transport', transport);
  }

  test('carries the tunnel in TLS from the first packet', () => {
    begin('tls');

    world.culvert('connect', '--wait', '--timeout', '60s');

    expect(carried()).toEqual(inTls());
    expect(world.status().health.map(({ code }) => code)).toContain('tls-chosen');
  }, 90_000);

  test('takes a tunnel that stands over UDP into TLS', async () => {
    begin('auto');
    world.culvert('connect', '--wait', '--timeout', '60s');
    expect(carried()).toMatchObject({ state: 'connected', transport: 'udp' });

    world.culvert('settings', 'set', 'transport', 'tls');

    await vi.waitFor(() => expect(carried()).toEqual(inTls()), patience);
  }, 120_000);

  test('says of an imported edge that it cannot, and sends it nothing over UDP', async () => {
    begin('tls');
    const far = createSocket('udp4');
    let came = 0;
    far.on('message', () => came++);
    await new Promise<void>((resolve) => far.bind(0, '127.0.0.1', resolve));
    const key = Buffer.alloc(32, 7).toString('base64');
    const file = join(world.folder, 'stock.conf');
    writeFileSync(
      file,
      `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/32\n[Peer]\nPublicKey = ${key}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 127.0.0.1:${far.address().port}\n`,
    );

    world.culvert('import', file);
    const refused = world.tryCulvert('connect', '--wait', '--timeout', '60s');
    const cameByTls = came;
    world.culvert('settings', 'set', 'transport', 'udp');
    world.culvert('connect');
    const refusedLater = world.tryCulvert('settings', 'set', 'transport', 'tls');
    const kept = world
      .culvert('settings', 'list')
      .split('\n')
      .find((line) => line.includes('transport'));
    world.culvert('disconnect');
    world.culvert('edge', 'remove', 'stock');
    far.close();

    for (const { code, err } of [refused, refusedLater]) {
      expect(code).toBe(1);
      expect(err).toContain('no-tls-way');
    }
    expect(cameByTls).toBe(0);
    expect(kept).toContain('udp');
  }, 90_000);
});
