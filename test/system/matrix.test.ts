// Faults × modes: what the state says some seconds after each fault, and whether something really passes then. Whatever
// says connected (or dns) must carry. The table is printed and written to a file, which the output names.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Mode, Status } from '../../shared/core/control/status.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import { describeWith } from '../support/requires.ts';
import { behind, edgeName, edgeV4, edgeV6, MovingWorld } from './support/moving-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft', 'curl', 'getent'] };
const modes: readonly Mode[] = ['tunnel+doh', 'tunnel', 'tunnel_only', 'proxy', 'doh'];
/** A fault is to be told within three seconds; the rest is a slow machine's. */
const settleMs = 4500;
const readyMs = 45_000;
const soonMs = 15_000;
/** Known to the network's name server alone, and asked of it by our resolver. */
const site = 'site.example';
const allNames = { [edgeName]: [edgeV4, edgeV6], [site]: [behind] };

interface Fault {
  readonly name: string;
  /** It says nothing in the others. */
  readonly modes: readonly Mode[];
  readonly begin: (world: MovingWorld) => void | Promise<void>;
  readonly end: (world: MovingWorld) => void | Promise<void>;
}

const withEdge = modes.filter((mode) => mode !== 'doh');
const wholeDevice = withEdge.filter((mode) => mode !== 'proxy');

const faults: readonly Fault[] = [
  { name: 'nothing', modes, begin: () => undefined, end: () => undefined },
  {
    name: 'edge killed',
    modes: withEdge,
    begin: (world) => world.killEdge(),
    end: (world) => world.startEdge(),
  },
  {
    name: 'edge keeps the device out',
    modes: withEdge,
    begin: (world) => world.admit(false),
    end: (world) => world.admit(true),
  },
  {
    name: 'uplink down',
    modes,
    begin: (world) => world.ip('link', 'set', 'up0', 'down'),
    end: (world) => world.goHome(),
  },
  { name: 'path swallows all', modes, begin: (world) => world.cut(), end: (world) => world.mend() },
  {
    name: 'name of the edge unknown',
    modes: withEdge,
    begin: (world) => {
      world.name({ [site]: [behind] });
      world.culvert('reconnect');
    },
    end: (world) => world.name(allNames),
  },
  {
    name: 'resolv.conf rewritten',
    modes,
    begin: (world) => void world.inLaptop('sh', '-c', 'echo nameserver 203.0.113.9 > /etc/resolv.conf'),
    end: (world) => world.networkNames(),
  },
  {
    name: 'nft flushed',
    modes: wholeDevice,
    begin: (world) => void world.inLaptop('nft', 'flush', 'ruleset'),
    end: () => undefined,
  },
  {
    name: 'routes deleted',
    modes: wholeDevice,
    begin: (world) => void world.inLaptop('ip', 'route', 'flush', 'table', '8383'),
    end: () => undefined,
  },
  {
    name: 'daemon killed',
    modes,
    begin: (world) => world.endDaemon('SIGKILL'),
    end: (world) => world.startDaemon(),
  },
];

interface Cell {
  readonly fault: string;
  readonly mode: Mode;
  readonly state: string;
  readonly code: string;
  readonly passes: boolean;
  readonly isFalseGreen: boolean;
  /** After the fault is over. */
  readonly recovered: boolean;
}

function isGreen(status: Status | undefined): boolean {
  return status?.state === 'connected' || (status?.state === 'dns' && status.health.length === 0);
}

describeWith(needs, 'faults × modes', () => {
  const world = new MovingWorld((process.pid % 90_000) + 1);
  const cells: Cell[] = [];
  const table = join(mkdtempSync(join(tmpdir(), 'culvert-matrix-')), 'matrix.md');

  beforeAll(async () => {
    await world.open();
    world.name(allNames);
    world.startDaemon();
    world.enroll();
    // A resolver that this world has; asked inside the tunnel where there is one.
    world.ok('settings', 'set', 'dns.upstreams', 'udp://192.0.2.1');
  });

  afterAll(async () => {
    await world.close();
    process.stdout.write(`\n${tableOf(cells)}\nThis table: ${table}\n`);
  });

  /** Asked by its socket: a command each time would take longer than what it is to see. */
  async function statusNow(): Promise<Status | undefined> {
    return new ControlClient(world.socket).call('status').catch(() => undefined);
  }

  /** A connection to a place behind the edge that answers, or for private names alone a name. */
  function passes(mode: Mode, proxy: string | undefined): boolean {
    if (mode === 'doh') return world.inLaptop('timeout', '3', 'getent', 'hosts', site).code === 0;
    const way = mode === 'proxy' ? ['-x', `socks5h://${proxy ?? '127.0.0.1:1'}`] : [];
    const url = `http://${behind}:9100/`;
    // What answers there is an echo, which never ends by itself.
    const { out } = world.inLaptop('curl', '-s', '--http0.9', '--max-time', '2', ...way, url);
    if (out === '') return false;
    return mode !== 'tunnel+doh' || world.inLaptop('timeout', '3', 'getent', 'hosts', site).code === 0;
  }

  async function connect(): Promise<boolean> {
    const control = new ControlClient(world.socket);
    await control.call('connect', {});
    const until = performance.now() + readyMs;
    while (performance.now() < until) {
      if (isGreen(await statusNow())) return true;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return false;
  }

  /** What was put back under a daemon is taken over again by it, which takes a moment. */
  async function soonPasses(mode: Mode): Promise<boolean> {
    const until = performance.now() + soonMs;
    while (!passes(mode, (await statusNow())?.proxy?.address)) {
      if (performance.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return true;
  }

  test.each(modes)(
    '%s: what says that it protects does carry, whatever breaks',
    { timeout: 300_000, retry: 0 },
    async (mode) => {
      world.ok('mode', mode);
      expect(await connect()).toBe(true);
      const proxy = world.status().proxy?.address;
      for (const fault of faults.filter((one) => one.modes.includes(mode))) {
        await fault.begin(world);
        const settled = performance.now() + settleMs;
        // Somebody uses it: silence alone is no sign of a fault.
        passes(mode, proxy);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, settled - performance.now())));
        const before = await statusNow();
        const works = passes(mode, proxy);
        const after = await statusNow();
        await fault.end(world);
        cells.push({
          fault: fault.name,
          mode,
          state: after?.state ?? 'no daemon',
          code: (after?.health ?? []).map(({ code }) => code).join(' '),
          passes: works,
          isFalseGreen: isGreen(before) && isGreen(after) && !works,
          recovered: (await connect()) && (await soonPasses(mode)),
        });
        // At once, so that a run that ends early leaves what it saw.
        writeFileSync(table, tableOf(cells));
      }

      const own = cells.filter((cell) => cell.mode === mode);
      expect(own.filter((cell) => cell.isFalseGreen)).toEqual([]);
      expect(own.filter((cell) => !cell.recovered)).toEqual([]);
      expect(own.find((cell) => cell.fault === 'nothing')?.passes).toBe(true);
    },
  );
});

function tableOf(cells: readonly Cell[]): string {
  const lines = faults.map((fault) => {
    const row = modes.map((mode) => {
      const cell = cells.find((one) => one.fault === fault.name && one.mode === mode);
      if (cell === undefined) return '';
      const code = cell.code === '' ? '' : ` (${cell.code})`;
      return `${cell.state}${code}, ${cell.passes ? 'passes' : 'nothing passes'}${cell.isFalseGreen ? ' FALSE GREEN' : ''}`;
    });
    return `| ${[fault.name, ...row].join(' | ')} |`;
  });
  return [`| fault | ${modes.join(' | ')} |`, `|${' --- |'.repeat(modes.length + 1)}`, ...lines, ''].join(
    '\n',
  );
}
