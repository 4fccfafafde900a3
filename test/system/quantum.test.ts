// Sessions that are safe from quantum computers, between real programs of an ordinary user: they come by themselves, and
// come again whichever end was restarted.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

describeWith({ tools: proxyEdgeTools }, 'a tunnel that is safe from quantum computers', () => {
  let world: ProxyEdge;

  beforeAll(async () => {
    world = await ProxyEdge.start();
    await world.runDaemon();
    world.culvert('enroll', world.invite());
    world.culvert('connect', '--wait', '--timeout', '60s');
  }, 120_000);

  afterAll(() => world.close());

  const untilSafe = (): Promise<void> =>
    vi.waitFor(
      () => expect(world.status()).toMatchObject({ state: 'connected', edge: { quantum: true } }),
      patience,
    );

  const page = (): string => world.curl('http://edge.culvert/trace').out;

  interface Device {
    readonly publicKey: string;
    readonly addresses: readonly string[];
  }
  const devices = (): readonly Device[] =>
    (JSON.parse(world.edge('status', '--json')) as { devices: readonly Device[] }).devices;

  test('is made so shortly after connect, and pages load through it', async () => {
    await untilSafe();

    expect(page()).toContain('edge=lab');
    // One device with its addresses, though the tunnel has two keys of it.
    expect(devices()).toHaveLength(1);
    expect(devices()[0]?.addresses.length).toBeGreaterThan(0);
  }, 120_000);

  test('the edge is restarted and has forgotten the session: it is made anew', async () => {
    await world.endEdge();
    await world.runEdge();

    await vi.waitFor(() => expect(page()).toContain('edge=lab'), patience);
    await untilSafe();
    expect(page()).toContain('edge=lab');
  }, 180_000);

  test('another connect of the same device ends the session of before', async () => {
    world.culvert('reconnect', '--wait', '--timeout', '60s');

    await untilSafe();
    expect(page()).toContain('edge=lab');
    expect(devices()).toHaveLength(1);
  }, 120_000);

  test('turned off, the tunnel goes on with the key of the device', async () => {
    world.culvert('settings', 'set', 'quantum', 'off');

    await vi.waitFor(() => expect(page()).toContain('edge=lab'), patience);
    expect(world.status().edge?.quantum).toBeUndefined();
    world.culvert('settings', 'set', 'quantum', 'on');
    await untilSafe();
    expect(page()).toContain('edge=lab');
  }, 120_000);
});
