// The tunnel of a whole device against a packet thread that the test plays: what it keeps from one tunnel to the next.
import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../../client/connection/event.ts';
import type { TunnelPlan } from '../../../../client/driver/ports.ts';
import { HostTunnel } from '../../../../client/host/tunnel.ts';
import type { DeviceChange } from '../../../../shared/core/tunnel/config.ts';
import { emptyStatus } from '../../../../shared/core/uapi/device-change.ts';
import { zeroKey } from '../../../../shared/core/uapi/values.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';
import type { TunnelBackend } from '../../../../shared/node/dataplane/messages.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const key = `${'A'.repeat(42)}E=`;

function plan(change: Partial<TunnelPlan> = {}): TunnelPlan {
  const text = `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/32\n[Peer]\nPublicKey = ${key}\nEndpoint = 192.0.2.1:51820\nAllowedIPs = 0.0.0.0/0\n`;
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error('the fixture is wrong');
  return {
    edge: { name: 'home', config: parsed.config },
    endpoints: [{ peer: 0, address: '192.0.2.1', port: 51820 }],
    interfaceName: 'culvert0',
    mtu: 1420,
    mark: 7,
    ...change,
  };
}

class FakeThread implements TunnelBackend {
  readonly kind = 'userspace';
  readonly interfaceName = 'culvert0';
  readonly changes: DeviceChange[] = [];
  stopped = false;
  isDead = false;
  #onEnd: Parameters<TunnelBackend['onEnd']>[0] = () => undefined;

  async configure(change: DeviceChange): Promise<void> {
    if (this.isDead) throw new Error('ended');
    this.changes.push(change);
  }
  status = async () => emptyStatus();
  onEvent = () => () => undefined;
  onEnd(listener: Parameters<TunnelBackend['onEnd']>[0]): void {
    this.#onEnd = listener;
  }
  async stop(): Promise<void> {
    this.stopped = true;
  }
  end(): void {
    this.#onEnd('gone', '');
  }
}

function world() {
  const threads: FakeThread[] = [];
  const facts: Fact[] = [];
  const tunnel = new HostTunnel({
    startThread: async () => {
      const thread = new FakeThread();
      threads.push(thread);
      return thread;
    },
    serveUapi: async () => ({ path: '', close: async () => undefined }),
    onUnanswered: () => undefined,
    log: silentLog,
  });
  const start = (change: Partial<TunnelPlan> = {}): Promise<void> =>
    tunnel.start(plan(change), (fact) => void facts.push(fact));
  return { tunnel, threads, facts, start };
}

describe('the tunnel of a whole device', () => {
  test('keeps its thread for the tunnel that follows, without keys and peers meanwhile', async () => {
    const { tunnel, threads, start } = world();
    await start();

    await tunnel.stop(true);
    const between = threads[0]?.changes.at(-1);
    const status = await tunnel.status();
    await start();

    expect(threads.map(({ stopped }) => stopped)).toEqual([false]);
    expect(between).toEqual({ privateKey: zeroKey(), replacePeers: true, peers: [] });
    expect(status).toBeUndefined();
    expect(threads[0]?.changes.at(-1)).toMatchObject({ fwmark: 7, replacePeers: true });
  });

  test('hears of the end of a kept thread in the tunnel of now', async () => {
    const { tunnel, threads, facts, start } = world();
    await start();
    await tunnel.stop(true);
    await start();

    threads[0]?.end();

    expect(facts).toMatchObject([{ kind: 'tunnel-ended' }]);
  });

  test.each([
    ['another size', { mtu: 1280 }],
    ['another interface', { interfaceName: 'culvert1' }],
  ])('takes another thread for %s, and ends the kept one', async (_what, change) => {
    const { tunnel, threads, start } = world();
    await start();
    await tunnel.stop(true);

    await start(change);

    expect(threads.map(({ stopped }) => stopped)).toEqual([true, false]);
  });

  test('takes another thread where the kept one has ended', async () => {
    const { tunnel, threads, facts, start } = world();
    await start();
    await tunnel.stop(true);

    threads[0]?.end();
    await start();

    expect(threads).toHaveLength(2);
    expect(facts).toEqual([]);
  });

  test('keeps nothing that cannot be emptied, and nothing where nobody asked for it', async () => {
    const { tunnel, threads, start } = world();
    await start();
    for (const thread of threads) thread.isDead = true;
    await tunnel.stop(true);
    await start();
    await tunnel.stop();

    expect(threads.map(({ stopped }) => stopped)).toEqual([true, true]);
  });

  test('waits for nobody who would look at it', async () => {
    const threads: FakeThread[] = [];
    let closed = 0;
    let served: () => void = () => undefined;
    const tunnel = new HostTunnel({
      startThread: async () => {
        const thread = new FakeThread();
        threads.push(thread);
        return thread;
      },
      serveUapi: () =>
        new Promise((resolve) => {
          served = () => resolve({ path: '', close: async () => void closed++ });
        }),
      onUnanswered: () => undefined,
      log: silentLog,
    });

    await tunnel.start(plan(), () => undefined);
    const stopped = tunnel.stop();
    served();
    await stopped;

    expect({ closed, stopped: threads[0]?.stopped }).toEqual({ closed: 1, stopped: true });
  });

  test('ends what was kept where no tunnel follows', async () => {
    const { tunnel, threads, start } = world();
    await start();
    await tunnel.stop(true);

    await tunnel.stop();

    expect(threads[0]?.stopped).toBe(true);
  });
});
