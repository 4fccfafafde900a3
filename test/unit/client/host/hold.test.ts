// Firewall and routes that hold: what is written again where another program changed it, and what a change of the split
// tunnel writes. The programs are fakes that note what they were told.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NftablesFirewall } from '../../../../client/host/firewall/nftables.ts';
import type { FirewallPolicy } from '../../../../client/host/firewall/policy.ts';
import { Journal } from '../../../../client/host/journal.ts';
import { undoAll } from '../../../../client/host/restore.ts';
import { IpRoutes } from '../../../../client/host/routes/ip-route.ts';
import { planRoutes } from '../../../../client/host/routes/plan.ts';
import { ruleOf, type SplitRule } from '../../../../client/split/rules.ts';
import { noSplit, type SplitView } from '../../../../client/split/view.ts';
import type { Run } from '../../../../shared/node/run.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

let folder = '';
let journal: Journal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-hold-'));
  journal = new Journal(join(folder, 'journal.jsonl'), { boot: 'b', netns: 'n' });
});
afterEach(() => rmSync(folder, { recursive: true }));

function exclude(target: string): SplitRule {
  const rule = ruleOf('ip', target, 'exclude');
  if (typeof rule === 'string') throw new Error(rule);
  return rule;
}

const policy: FirewallPolicy = {
  kind: 'connected',
  interfaceName: 'culvert0',
  mark: 0x8383,
  endpoints: [],
  nameServers: [],
  addresses: [],
  scope: 'everything',
};

describe('the firewall', () => {
  function makeWorld() {
    const kernel: { table: string | undefined; writes: number } = { table: undefined, writes: 0 };
    let split: SplitView = noSplit;
    const run: Run = async (_program, words, options) => {
      if (words[0] === 'list')
        return { exitCode: kernel.table === undefined ? 1 : 0, stdout: kernel.table ?? '', stderr: '' };
      kernel.table = options?.stdin ?? '';
      kernel.writes += 1;
      return { exitCode: 0, stdout: '', stderr: '' };
    };
    const firewall = new NftablesFirewall({ journal, run, log: silentLog, split: () => split });
    return {
      kernel,
      firewall,
      exclude: (target: string) => {
        split = { ...noSplit, rules: [exclude(target)] };
      },
    };
  }

  test('is written again where it is gone or changed, and not where it stands', async () => {
    const { kernel, firewall } = makeWorld();
    await firewall.apply(policy);

    const well = await firewall.verify();
    kernel.table = undefined;
    const gone = await firewall.verify();
    await firewall.verify();
    kernel.table = 'accept';
    const changed = await firewall.verify();

    expect([well, gone, changed]).toEqual([false, true, true]);
    expect(kernel.writes).toBe(3);
  });

  test('is written again for another split, with the policy of now', async () => {
    const world = makeWorld();
    await world.firewall.apply(policy);
    world.exclude('203.0.113.0/24');

    await world.firewall.refresh();

    expect(world.kernel.table).toContain('203.0.113.0/24');
  });

  test('is nobody’s business once it is let go of', async () => {
    const { kernel, firewall } = makeWorld();
    await firewall.apply(policy);
    await firewall.release();
    kernel.table = undefined;

    expect(await firewall.verify()).toBe(false);
    await firewall.refresh();
    expect(kernel.writes).toBe(1);
  });
});

describe('the routes', () => {
  const shape = {
    interfaceName: 'culvert0',
    addresses: [],
    allowedIps: ['0.0.0.0/0'],
    mtu: 1420,
    ipv6: false,
  };

  function makeWorld() {
    const lines: string[] = [];
    let split: SplitView = noSplit;
    const shown = {
      rules: '8383:\tnot from all fwmark 0x8383 lookup 8383\n',
      routes: 'default dev culvert0\n',
    };
    const run: Run = async (_program, words, options) => {
      const line = words.join(' ');
      if (line.includes('rule show')) return { exitCode: 0, stdout: shown.rules, stderr: '' };
      if (line.includes('route show')) return { exitCode: 0, stdout: shown.routes, stderr: '' };
      lines.push(
        options?.stdin === undefined ? line : `${line}: ${options.stdin.trim().replaceAll('\n', '; ')}`,
      );
      return { exitCode: 0, stdout: '', stderr: '' };
    };
    const sysctl = { read: () => '1', write: () => true };
    const routes = new IpRoutes({ journal, run, sysctl, log: silentLog, split: () => split });
    return {
      lines,
      shown,
      routes,
      run,
      sysctl,
      set: (view: SplitView) => {
        split = view;
      },
    };
  }

  test('follow the split: what is new is added, what is no more is taken away, the rest stays', async () => {
    const world = makeWorld();
    await world.routes.apply(planRoutes(shape));
    world.lines.length = 0;

    world.set({ ...noSplit, rules: [exclude('203.0.113.0/24')] });
    await world.routes.refresh();
    const added = world.lines.splice(0);
    world.set(noSplit);
    await world.routes.refresh();

    expect(added[0]).toContain('route replace throw 203.0.113.0/24 table 8383');
    expect(world.lines[0]).toBe('-4 -force -batch -: route del throw 203.0.113.0/24 table 8383');
  });

  test('of another edge on the same interface: the addresses before go first, and only those that are no more', async () => {
    const world = makeWorld();
    await world.routes.apply(planRoutes({ ...shape, addresses: ['10.9.0.2/32', '10.9.0.3/32'] }));
    world.lines.length = 0;

    await world.routes.apply(planRoutes({ ...shape, addresses: ['10.9.0.3/32', '10.8.0.2/32'] }));

    expect(world.lines.slice(0, 2)).toEqual([
      '-force -batch -: address del 10.9.0.2/32 dev culvert0',
      '-batch -: address replace 10.9.0.3/32 dev culvert0; address replace 10.8.0.2/32 dev culvert0; link set dev culvert0 mtu 1420 up',
    ]);
  });

  test('of another edge: connections from an address that is no more are ended last, no others', async () => {
    const world = makeWorld();
    await world.routes.apply(
      planRoutes({ ...shape, addresses: ['10.9.0.2/32', '10.9.0.3/24', 'fd09::2/128'] }),
    );
    const first = world.lines.splice(0);

    await world.routes.apply(planRoutes({ ...shape, addresses: ['10.9.0.3/32', 'fd08::2/128'] }));

    expect(first.filter((line) => line.startsWith('-K'))).toEqual([]);
    expect(world.lines.filter((line) => line.startsWith('-K'))).toEqual([
      '-KHntu src 10.9.0.2 or src [fd09::2]',
    ]);
    expect(world.lines.at(-1)).toMatch(/^-K/);
  });

  test('around the tunnel are in the journal, and go with it', async () => {
    const world = makeWorld();
    world.set({ ...noSplit, rules: [exclude('203.0.113.0/24')], outsideGroup: 'culvert-outside' });
    await world.routes.apply(planRoutes(shape));
    world.lines.length = 0;

    await undoAll(journal, { run: world.run, sysctl: world.sysctl });

    expect(world.lines).toEqual([
      '-4 rule del pref 8383 not fwmark 0x8383 lookup 8383',
      '-4 rule del pref 8382 fwmark 0x8384 lookup main',
      '-4 route flush table 8383',
    ]);
  });

  test('are made again where a rule or a route of ours is gone', async () => {
    const world = makeWorld();
    await world.routes.apply(planRoutes(shape));
    const well = await world.routes.verify();
    world.lines.length = 0;

    world.shown.rules = '0:\tfrom all lookup local\n';
    const ruleless = await world.routes.verify();
    world.shown.rules = '8383:\tnot from all fwmark 0x8383 lookup 8383\n';
    world.shown.routes = '';
    const routeless = await world.routes.verify();
    await world.routes.release();
    const released = await world.routes.verify();

    expect([well, ruleless, routeless, released]).toEqual([false, true, true, false]);
    expect(world.lines.filter((line) => line.includes('rule add'))).toHaveLength(2);
  });

  test('forget a rule that no program needs any more', async () => {
    const world = makeWorld();
    world.set({ ...noSplit, outsideGroup: 'culvert-outside' });
    await world.routes.apply(planRoutes(shape));
    world.set(noSplit);

    await world.routes.refresh();

    expect(world.lines).toContain('-4 rule del pref 8382 fwmark 0x8384 lookup main');
    expect(journal.pending().map((change) => change.kind)).toEqual(['ip-rule']);
  });
});
