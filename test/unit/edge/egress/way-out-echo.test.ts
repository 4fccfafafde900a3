// Echo requests and the way out of a rootless edge: who may ping whom, and what the others are told.
import { afterEach, describe, expect, test } from 'vitest';
import { FlowBlocked } from '../../../../edge/egress/choose-flow.ts';
import { PathError } from '../../../../edge/egress/path.ts';
import type { EgressRules } from '../../../../edge/egress/settings.ts';
import { FlowRefused, WayOut, type WayOutOptions, type Ways } from '../../../../edge/egress/way-out.ts';
import { parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import type { FarUdp } from '../../../../shared/node/flows/contract.ts';

const laptop = '10.83.0.2';
const phone = '10.83.0.3';
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

describe('echo requests', () => {
  test('have a share of their own, and are cut by new rules', async () => {
    const way = wayOut({ connectionsPerDevice: 1 });
    const flow = await ask(way, '203.0.113.1');
    const over = new Promise<void>((resolve) => flow.onClose(resolve));

    expect(await refusalOf(ask(way, '203.0.113.2'))).toBe('reset');
    (await ask(way, '203.0.113.1', phone)).close();
    expect(way.flows).toBe(1);

    way.reload(rules({ devices: [] }));
    await over;
    expect(way.flows).toBe(0);
  });

  test('to a closed place are forbidden, of nobody that we know unanswered', async () => {
    const way = wayOut();

    expect(await refusalOf(ask(way, '192.168.1.1'))).toBe('reset');
    expect(await refusalOf(ask(way, '203.0.113.1', '10.83.0.77'))).toBe('drop');
    expect(way.refused).toMatchObject({ private: 1, stranger: 1 });
  });

  test('that no path carries are forbidden, and one that fails says that nobody is there', async () => {
    const fail = (cause: Error): Ways => ({
      dialTcp: () => Promise.reject(cause),
      openUdp: () => Promise.reject(cause),
      openEcho: () => Promise.reject(cause),
    });
    const blocked = wayOut({ ways: fail(new FlowBlocked('unreachable', 'no-path')) });
    const away = wayOut({ ways: fail(new PathError('destination', 'unreachable', 'Nobody is there.')) });

    expect(await refusalOf(ask(blocked, '203.0.113.1'))).toBe('reset');
    expect(await refusalOf(ask(away, '203.0.113.1'))).toBe('unreachable');
  });
});

/** Nobody answers. */
class SilentFlow implements FarUdp {
  send(): void {}
  onMessage(): void {}
  onClose(): void {}
  close(): void {}
}

const silent: Ways = {
  dialTcp: () => Promise.reject(new Error('not asked here')),
  openUdp: () => Promise.reject(new Error('not asked here')),
  openEcho: () => Promise.resolve(new SilentFlow()),
};

function wayOut(fields: Partial<WayOutOptions> = {}): WayOut {
  const made = new WayOut({
    rules: rules(),
    isOwnAddress: () => false,
    connectionsPerDevice: 3,
    maxFlows: 100,
    ways: silent,
    now: () => monoMs(1),
    ...fields,
  });
  closers.push(() => made.close());
  return made;
}

function rules(fields: Partial<EgressRules> = {}): EgressRules {
  return {
    edgeName: 'home',
    network: [parsePrefix('10.83.0.0/16')!],
    closePrivate: true,
    allow: [],
    pairs: [],
    devices: [
      { name: 'laptop', key: 'L', prefixes: [parsePrefix(`${laptop}/32`)!] },
      { name: 'phone', key: 'P', prefixes: [parsePrefix(`${phone}/32`)!] },
    ],
    rules: [],
    connectionsPerSecond: 0,
    ...fields,
  };
}

function ask(way: WayOut, to: string, from = laptop): Promise<FarUdp> {
  return way.openEcho({
    source: { address: parseAddress(from)!, port: 0 },
    destination: { address: parseAddress(to)!, port: 0 },
  });
}

async function refusalOf(asked: Promise<unknown>): Promise<string> {
  const outcome = await asked.catch((error: unknown) => error);
  return outcome instanceof FlowRefused ? outcome.refusal : `no refusal: ${String(outcome)}`;
}
