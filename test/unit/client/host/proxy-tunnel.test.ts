// The tunnel of mode proxy against a worker that the test plays: what it asks, what it takes for a proof, how it ends.
import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../../client/connection/event.ts';
import type { EdgeProfile } from '../../../../client/driver/ports.ts';
import { ProxyTunnel, type ProxyWorkerPlan, resolversOf } from '../../../../client/host/proxy-tunnel.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { DeviceChange } from '../../../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../../../shared/core/tunnel/events.ts';
import { emptyStatus } from '../../../../shared/core/uapi/device-change.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';
import type { FlowBackend } from '../../../../shared/node/flows/contract.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const key = `${'A'.repeat(42)}E=`;
const publicKey = new Uint8Array(32);

function profile(change: { dns?: string; allowed?: string; addresses?: string } = {}): EdgeProfile {
  const { dns = '', allowed = '0.0.0.0/0, ::/0', addresses = '10.9.0.2/24, fd09::2/64' } = change;
  const text = `[Interface]\nPrivateKey = ${key}\nAddress = ${addresses}\n${dns}\n[Peer]\nPublicKey = ${key}\nEndpoint = 192.0.2.1:51820\nAllowedIPs = ${allowed}\n`;
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error('the fixture is wrong');
  return { name: 'home', config: parsed.config };
}

const edge = profile();
const plan = { edge, mtu: 1200, access: { port: 40_000 } };
const run = {
  edge,
  endpoints: [{ peer: 0, address: '192.0.2.1', port: 51820 }],
  interfaceName: '',
  mtu: 1200,
  mark: 0,
};

class FakeWorker implements FlowBackend {
  readonly kind = 'userspace';
  readonly interfaceName = '';
  readonly called: string[] = [];
  readonly changes: DeviceChange[] = [];
  stopped = false;
  /** What `check` answers, in order; the last one stays. */
  verdicts: unknown[] = [{ kind: 'stock' }];
  failing = new Set<string>();
  #onEvent: (event: TunnelEvent) => void = () => undefined;
  #onEnd: Parameters<FlowBackend['onEnd']>[0] = () => undefined;

  async call(name: string, argument?: unknown): Promise<unknown> {
    this.called.push(name === 'gate' ? `gate ${(argument as { kind: string }).kind}` : name);
    if (this.failing.has(name)) throw new CulvertError('port-in-use');
    if (name === 'listen') return 40_000;
    if (name === 'check') return this.verdicts.length > 1 ? this.verdicts.shift() : this.verdicts[0];
    return undefined;
  }
  async configure(change: DeviceChange): Promise<void> {
    this.changes.push(change);
    if (this.failing.has('configure')) throw new CulvertError('internal');
  }
  status = async () => emptyStatus();
  onEvent(listener: (event: TunnelEvent) => void): () => void {
    this.#onEvent = listener;
    return () => {
      this.#onEvent = () => undefined;
    };
  }
  onNotice = () => () => undefined;
  onEnd(listener: Parameters<FlowBackend['onEnd']>[0]): void {
    this.#onEnd = listener;
  }
  async stop(): Promise<void> {
    this.stopped = true;
  }
  emit(kind: 'established' | 'confirmed' | 'gave-up'): void {
    this.#onEvent(kind === 'established' ? { kind, publicKey, role: 'initiator' } : { kind, publicKey });
  }
  die(): void {
    this.#onEnd('failed', 'a bug');
  }
}

function world() {
  const workers: FakeWorker[] = [];
  const plans: ProxyWorkerPlan[] = [];
  const facts: Fact[] = [];
  const prepare: ((worker: FakeWorker) => void)[] = [];
  const proxy = new ProxyTunnel({
    startWorker: async (workerPlan) => {
      const worker = new FakeWorker();
      prepare.shift()?.(worker);
      workers.push(worker);
      plans.push(workerPlan);
      return worker;
    },
    onUnanswered: () => undefined,
    log: silentLog,
  });
  const onFact = (fact: Fact): void => void facts.push(fact);
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { proxy, workers, plans, facts, onFact, prepare, settle };
}

async function started() {
  const made = world();
  await made.proxy.openPort(plan);
  await made.proxy.start(run, made.onFact);
  return { ...made, worker: made.workers[0] };
}

describe('the tunnel of the proxy', () => {
  test('binds the port once for the same plan, and anew for another one', async () => {
    const { proxy, workers, plans } = world();
    const before = proxy.place;

    await proxy.openPort(plan);
    await proxy.openPort({ ...plan });
    await proxy.openPort({
      ...plan,
      access: { port: 40_000, credentials: { username: 'a', password: 'b' } },
    });

    expect(before).toBeUndefined();
    expect(workers.map((worker) => worker.stopped)).toEqual([true, false]);
    expect(proxy.place).toEqual({
      address: '127.0.0.1:40000',
      resolvers: ['1.1.1.1', '2606:4700:4700::1111'],
    });
    expect(plans[0]).toMatchObject({ mtu: 1280, settings: { addresses: ['10.9.0.2', 'fd09::2'] } });
    expect(JSON.stringify(plans)).not.toContain('password');
  });

  test('goes on with the same worker and port for another edge, once the tunnel before has ended', async () => {
    const { proxy, workers } = await started();
    const other = { ...plan, edge: profile({ addresses: '10.8.0.2/32', dns: 'DNS = 10.8.0.1' }) };

    await proxy.stop();
    await proxy.openPort(other);

    expect(workers).toHaveLength(1);
    expect(workers[0]?.called.slice(-1)).toEqual(['become']);
    expect(workers[0]?.changes.at(-1)).toMatchObject({ replacePeers: true, peers: [] });
    expect(proxy.place).toEqual({ address: '127.0.0.1:40000', resolvers: ['10.8.0.1'] });
  });

  test('takes another worker where the one that stands cannot go on', async () => {
    const { proxy, workers } = await started();
    workers[0]?.failing.add('become');
    const other = { ...plan, edge: profile({ addresses: '10.8.0.2/32' }) };

    await proxy.stop();
    await proxy.openPort(other);

    expect(workers.map((worker) => worker.stopped)).toEqual([true, false]);
  });

  test('leaves no worker behind where the port cannot be had', async () => {
    const { proxy, workers, prepare } = world();
    prepare.push((worker) => worker.failing.add('listen'));

    await expect(proxy.openPort(plan)).rejects.toMatchObject({ code: 'port-in-use' });

    expect(workers[0].stopped).toBe(true);
    expect(proxy.place).toBeUndefined();
  });

  test('takes keys and peers from the file and asks for no mark', async () => {
    const { worker } = await started();

    expect(worker.changes).toMatchObject([
      { fwmark: 0, replacePeers: true, peers: [{ endpoint: { address: '192.0.2.1', port: 51820 } }] },
    ]);
  });

  test('is proven by an edge that answers its challenge, with what it told', async () => {
    const { proxy, worker, facts, settle } = await started();
    worker.verdicts = [{ kind: 'edge', rttMs: 12, visibleAddress: '203.0.113.7' }];

    await proxy.probe();
    await settle();
    worker.emit('established');
    await proxy.probe();
    await settle();
    worker.emit('confirmed');

    expect(worker.called.filter((name) => name === 'check')).toHaveLength(1);
    expect(facts).toEqual([
      { kind: 'handshake' },
      { kind: 'confirmed', proof: { rttMs: 12, visibleAddress: '203.0.113.7' } },
    ]);
  });

  test('is not proven by a packet before it is known who is there, nor by a stock server without one', async () => {
    const { proxy, worker, facts, settle } = await started();

    worker.emit('confirmed');
    const early = facts.length;
    await proxy.probe();
    await settle();

    expect(early).toBe(0);
    expect(facts).toEqual([{ kind: 'confirmed' }]);

    const other = await started();
    other.worker.emit('established');
    await other.proxy.probe();
    await other.settle();
    expect(other.facts).toEqual([{ kind: 'handshake' }]);
    other.worker.emit('confirmed');
    expect(other.facts).toEqual([{ kind: 'handshake' }, { kind: 'confirmed' }]);
  });

  test('has to be proven again after the device gave up', async () => {
    const { proxy, worker, facts, settle } = await started();
    worker.emit('confirmed');
    await proxy.probe();
    await settle();

    worker.emit('gave-up');
    worker.emit('established');
    await proxy.probe();
    await settle();
    worker.emit('confirmed');

    expect(facts.map((fact) => fact.kind)).toEqual(['confirmed', 'gave-up', 'handshake', 'confirmed']);
  });

  test('stops without giving up the port, and forgets the keys', async () => {
    const { proxy, worker, facts } = await started();

    await proxy.stop();
    worker.emit('confirmed');

    expect(worker.stopped).toBe(false);
    expect(worker.changes.at(-1)).toEqual({ privateKey: new Uint8Array(32), replacePeers: true, peers: [] });
    expect(proxy.place).toBeDefined();
    expect(await proxy.status()).toBeUndefined();
    expect(facts).toEqual([]);
  });

  test('ends a worker whose tunnel does not stop, or whose gate does not close', async () => {
    const first = await started();
    first.worker.failing.add('configure');
    await first.proxy.stop();

    const second = await started();
    second.worker.failing.add('gate');
    await second.proxy.setGate({ kind: 'closed', reason: 'no' });

    expect([first.worker.stopped, second.worker.stopped]).toEqual([true, true]);
    expect(second.proxy.place).toBeUndefined();
  });

  test('tells that its worker died, once, has no port then, and can be opened again', async () => {
    const { proxy, worker, workers, facts } = await started();

    worker.die();
    worker.die();
    await proxy.setGate({ kind: 'open' });

    expect(facts).toMatchObject([{ kind: 'tunnel-ended', problem: { code: 'tunnel-ended' } }]);
    expect(proxy.place).toBeUndefined();
    await expect(proxy.start(run, () => undefined)).rejects.toMatchObject({ code: 'tunnel-ended' });
    await proxy.openPort(plan);
    expect(workers).toHaveLength(2);
  });
});

test.each([
  ['those of the file', { dns: 'DNS = 10.9.0.1, example.test, fd09::1' }, ['10.9.0.1', 'fd09::1']],
  ['1.1.1.1 where the file has none', {}, ['1.1.1.1', '2606:4700:4700::1111']],
  ['only families that we have', { addresses: '10.9.0.2/24' }, ['1.1.1.1']],
  ['only what the tunnel leads to', { dns: 'DNS = 10.9.0.1, 8.8.8.8', allowed: '10.0.0.0/8' }, ['10.9.0.1']],
  ['none where it leads to none', { allowed: '10.0.0.0/8' }, []],
])('resolvers are %s', (_title, change, expected) => {
  expect(resolversOf(profile(change))).toEqual(expected);
});
