// The driver against ports that note what they are asked: order, cancelling, failing, ending.
import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../../client/connection/event.ts';
import { Driver } from '../../../../client/driver/driver.ts';
import type { DriverPorts } from '../../../../client/driver/ports.ts';
import { resume } from '../../../../client/driver/resume.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const key = `${'A'.repeat(42)}E=`;
const conf = `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/24\n[Peer]\nPublicKey = ${key}\nEndpoint = 192.0.2.1:51820\nAllowedIPs = 0.0.0.0/0\n`;

const places = [{ peer: 0, address: '192.0.2.1', port: 51820 }];

interface World {
  readonly asked: string[];
  readonly driver: Driver;
  readonly ports: DriverPorts;
  /** Makes the tunnel announce something. */
  readonly tell: (fact: Fact) => void;
}

function makeWorld(change: Partial<DriverPorts> = {}): World {
  const asked: string[] = [];
  let tell: (fact: Fact) => void = () => undefined;
  const parsed = parseWgConfig(conf);
  if (parsed.kind !== 'config') throw new Error('the fixture is wrong');
  const ports: DriverPorts = {
    tunnel: {
      start: async (plan, onFact) => {
        asked.push(`start ${plan.interfaceName} ${plan.endpoints[0]?.address}`);
        tell = onFact;
      },
      stop: async () => void asked.push('stop'),
      probe: async () => void asked.push('probe'),
      renew: async (places) => void asked.push(`renew ${places[0]?.address}`),
      status: async () => undefined,
    },
    proxy: {
      openPort: async (plan) => void asked.push(`port ${plan.access.port} mtu ${plan.mtu}`),
      setGate: async (gate) => void asked.push(`gate ${gate.kind}`),
      start: async (plan, onFact) => {
        asked.push(`proxy start mark ${plan.mark}`);
        tell = onFact;
      },
      stop: async () => void asked.push('proxy stop'),
      probe: async () => void asked.push('proxy probe'),
      renew: async (places) => void asked.push(`proxy renew ${places[0]?.address}`),
      status: async () => undefined,
      close: async () => void asked.push('proxy close'),
      place: undefined,
    },
    dns: {
      start: async (plan) => void asked.push(`dns ${plan.mode} ${plan.tunnel?.interfaceName}`),
      stop: async () => void asked.push('dns stop'),
      view: { health: [] },
    },
    firewall: {
      apply: async (policy) => void asked.push(`firewall ${policy.kind} ${policy.endpoints.length}`),
    },
    routes: { apply: async (plan) => void asked.push(`routes ${plan.rules.length}`) },
    host: { restore: async () => void asked.push('restore') },
    resolver: {
      resolve: async () => {
        asked.push('resolve');
        return { endpoints: places, choices: places };
      },
      seek: async ({ silent }) => {
        asked.push(silent ? 'seek the silent' : 'seek');
        return { choices: [...places, { peer: 0, address: '2001:db8::1', port: 51820 }], lost: false };
      },
      nameServers: () => [],
    },
    wish: { remember: (edge) => void asked.push(`wish ${edge}`) },
    edges: { profile: (name) => ({ name, config: parsed.config }) },
    settings: () => ({ mode: 'tunnel', interfaceName: 'culvert0', mtu: 0, proxy: { port: 40_000 } }),
    ipv6: () => true,
    ...change,
  };
  const clock = { kind: 'process', now: () => monoMs(1000), unix: () => unixMs(1_700_000_000_000) } as const;
  const driver = new Driver({ ports, clock, log: silentLog });
  return { asked, driver, ports, tell: (fact) => tell(fact) };
}

describe('the driver', () => {
  test('closes the machine before it looks for the edge, and proves the tunnel before it says connected', async () => {
    const { asked, driver, tell } = makeWorld();

    driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await driver.idle();
    const before = driver.state.kind;
    tell({ kind: 'handshake' });
    tell({ kind: 'confirmed' });
    await driver.idle();

    expect(before).toBe('connecting');
    expect(driver.state.kind).toBe('connected');
    expect(asked).toEqual([
      'wish home',
      'dns stop',
      'firewall connecting 0',
      'resolve',
      'firewall connecting 1',
      'start culvert0 192.0.2.1',
      'routes 1',
      'probe',
      'probe',
      'dns tunnel culvert0',
      'firewall connected 1',
    ]);
    await driver.close();
  });

  test('undoes everything on disconnect, closed until the end', async () => {
    const { asked, driver, tell } = makeWorld();
    driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await driver.idle();
    tell({ kind: 'confirmed' });
    await driver.idle();
    asked.length = 0;

    driver.send({ kind: 'disconnect' });
    await driver.idle();

    expect(asked).toEqual([
      'wish undefined',
      'firewall blocked 0',
      'stop',
      'proxy close',
      'dns stop',
      'restore',
    ]);
    expect(driver.state).toEqual({ kind: 'off' });
  });

  test('lets a disconnect overtake a look-up that hangs, and drops its answer', async () => {
    let aborted = false;
    const world = makeWorld({
      resolver: {
        resolve: (_edge, signal) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              aborted = true;
              resolve({ endpoints: [], choices: [] });
            });
          }),
        seek: () => Promise.reject(new Error('nothing known')),
        nameServers: () => [],
      },
    });
    world.driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await new Promise((resolve) => setImmediate(resolve));

    world.driver.send({ kind: 'disconnect' });
    await world.driver.idle();

    expect(aborted).toBe(true);
    expect(world.driver.state.kind).toBe('off');
    expect(world.asked.filter((one) => one.startsWith('start'))).toEqual([]);
  });

  test('is off with the reason where the firewall cannot be closed at all', async () => {
    const { driver, asked } = makeWorld({
      firewall: { apply: () => Promise.reject(new CulvertError('tool-missing')) },
    });

    driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await driver.idle();

    expect(driver.state).toMatchObject({ kind: 'off', problem: { code: 'tool-missing' } });
    expect(asked).toEqual(['wish home', 'dns stop', 'wish undefined', 'proxy close', 'dns stop', 'restore']);
  });

  test('fails closed where the tunnel cannot be started', async () => {
    const { driver, asked, ports } = makeWorld();
    const broken = makeWorld({
      tunnel: { ...ports.tunnel, start: () => Promise.reject(new CulvertError('no-tun')) },
    });

    broken.driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await broken.driver.idle();

    expect(broken.driver.state).toMatchObject({ kind: 'blocked', problem: { code: 'no-tun' } });
    expect(broken.asked).toContain('firewall blocked 0');
    expect(broken.asked).not.toContain('restore');
    expect(driver.state.kind).toBe('off');
    expect(asked.filter((one) => one !== 'stop')).toEqual([]);
  });

  test('ends with the machine closed, and takes no more events', async () => {
    const { asked, driver, tell } = makeWorld();
    driver.send({ kind: 'connect', edge: 'home', reach: 'device' });
    await driver.idle();
    tell({ kind: 'confirmed' });
    await driver.idle();
    asked.length = 0;

    await driver.close();
    driver.send({ kind: 'disconnect' });
    await driver.idle();

    expect(asked).toEqual(['proxy close', 'dns stop', 'firewall blocked 0', 'stop']);
  });

  test('tells its listeners about every change, until they leave', () => {
    const { driver } = makeWorld();
    let heard = 0;
    const leave = driver.onChange(() => {
      heard += 1;
    });

    driver.send({ kind: 'found-closed', problem: { code: 'left-closed', text: '', remedy: '' } });
    driver.send({ kind: 'tick' });
    leave();
    driver.send({ kind: 'connect', edge: 'home', reach: 'device' });

    expect(heard).toBe(1);
  });
});

describe('the driver in mode proxy', () => {
  test('binds the closed port before it looks for the edge, and opens it with the proof', async () => {
    const { asked, driver, tell } = makeWorld();

    driver.send({ kind: 'connect', edge: 'home', reach: 'proxy' });
    await driver.idle();
    tell({ kind: 'handshake' });
    tell({ kind: 'confirmed', proof: { rttMs: 3 } });
    await driver.idle();

    expect(driver.state).toMatchObject({ kind: 'connected', reach: 'proxy', proof: { rttMs: 3 } });
    expect(asked).toEqual([
      'wish home',
      'gate closed',
      'port 40000 mtu 1420',
      'resolve',
      'gate closed',
      'proxy start mark 0',
      'proxy probe',
      'proxy probe',
      'gate open',
    ]);
    asked.length = 0;
    driver.send({ kind: 'disconnect' });
    await driver.idle();
    expect(asked).toEqual([
      'wish undefined',
      'gate closed',
      'proxy stop',
      'proxy close',
      'dns stop',
      'restore',
    ]);
    await driver.close();
  });

  test('is off with the reason where the port is taken', async () => {
    const { ports } = makeWorld();
    const taken = (): Promise<void> => Promise.reject(new CulvertError('port-in-use'));
    const { driver } = makeWorld({ proxy: { ...ports.proxy, openPort: taken } });

    driver.send({ kind: 'connect', edge: 'home', reach: 'proxy' });
    await driver.idle();

    expect(driver.state).toMatchObject({ kind: 'off', problem: { code: 'port-in-use' } });
    await driver.close();
  });

  test('closes the gate and tries again where the worker dies', async () => {
    const { asked, driver, tell } = makeWorld();
    driver.send({ kind: 'connect', edge: 'home', reach: 'proxy' });
    await driver.idle();
    tell({ kind: 'confirmed' });
    await driver.idle();
    asked.length = 0;

    tell({ kind: 'tunnel-ended', problem: { code: 'tunnel-ended', text: 'it ended', remedy: '' } });
    await driver.idle();

    expect(driver.state).toMatchObject({
      kind: 'blocked',
      reach: 'proxy',
      retryAt: 2000,
      unprotected: false,
    });
    expect(asked).toEqual(['gate closed', 'proxy stop']);
    await driver.close();
  });

  test('leaves nothing behind when it ends, not even a firewall', async () => {
    const { asked, driver, tell } = makeWorld();
    driver.send({ kind: 'connect', edge: 'home', reach: 'proxy' });
    await driver.idle();
    tell({ kind: 'confirmed' });
    await driver.idle();
    asked.length = 0;

    await driver.close();

    expect(asked).toEqual(['proxy close', 'dns stop']);
  });
});

describe('a daemon that starts', () => {
  test('connects again where the user wanted that', async () => {
    const { driver, ports } = makeWorld();

    await resume(
      {
        wishedEdge: 'home',
        edgeKnown: true,
        reach: 'device',
        changes: true,
        autoConnect: true,
        resting: false,
      },
      { driver, host: ports.host, log: silentLog },
    );

    expect(driver.state.kind).toBe('connecting');
    await driver.close();
  });

  test('stays closed where it could not restore', async () => {
    const { driver } = makeWorld();
    const host = { restore: () => Promise.reject(new CulvertError('restore-incomplete')) };

    await resume(
      {
        wishedEdge: undefined,
        edgeKnown: false,
        reach: 'device',
        changes: true,
        autoConnect: true,
        resting: false,
      },
      { driver, host, log: silentLog },
    );

    expect(driver.state).toMatchObject({ kind: 'blocked', problem: { code: 'restore-incomplete' } });
  });
});
