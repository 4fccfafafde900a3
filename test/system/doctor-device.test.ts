// `culvert doctor` while the whole device is protected: every bad network of the lab and every fault at the edge, in each
// mode with a tunnel of the device, in whatever state that led to, and where culvert stopped by itself. What it named is
// printed as a table and written to a file.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabNetwork, networkNamed } from '../../client/lab/networks.ts';
import { LabStage } from '../../client/lab/stage.ts';
import { places } from '../../client/lab/world.ts';
import { programPath, untilAnswers } from '../../client/start/programs.ts';
import type { Mode, Status } from '../../shared/core/control/status.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { describeWith } from '../support/requires.ts';

const modes: readonly Mode[] = ['tunnel', 'tunnel+doh'];
/** All rows in all modes take ten minutes; else the second mode has those that depend on it. */
const isWhole = process.env['CULVERT_DOCTOR_TABLE'] === 'all';
const rowsOfAnyMode: readonly string[] = ['good', 'udp-block', 'dns-hijack', 'stopped by an error'];
/** Where Debian keeps it; without it the clock stays right. */
const fakeTime = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;
const fiveYearsBehind = ['FAKETIME=-5y', 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
const commandMs = 60_000;
const steadyMs = 30_000;
/** A network whose faults come by chance is asked again. */
const tries = 3;

interface Row {
  readonly title: string;
  readonly fault: string;
  /** Makes the fault; before or after the connect. */
  readonly before?: () => Promise<unknown>;
  readonly after?: () => Promise<unknown>;
  readonly isReached: (status: Status) => boolean;
  readonly undo?: () => Promise<unknown>;
}

interface Outcome {
  readonly title: string;
  readonly mode: Mode;
  readonly state: string;
  readonly named: string;
  readonly expected: string;
}

const isConnected = ({ state }: Status): boolean => state === 'connected';
/** The edge does not answer any more. */
const isSilent = ({ state }: Status): boolean => state === 'connecting' || state === 'waiting';
const shows =
  (code: string) =>
  ({ health }: Status): boolean =>
    health.some((item) => item.code === code);

describeWith({ namespaces: true, tools: ['ip', 'nft', 'ping'] }, 'the doctor of a protected device', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'culvert-doctor-table-')), 'table.md');
  const outcomes: Outcome[] = [];
  let stage: LabStage;
  let neighbour: Child | undefined;

  beforeAll(async () => {
    stage = await LabStage.build('tunnel');
    await stage.start();
  }, 120_000);

  afterAll(async () => {
    process.stdout.write(`\n${tableOf(outcomes)}\nThis table: ${path}\n`);
    await neighbour?.end();
    await stage.clear();
  }, 60_000);

  function edge(...words: string[]): Promise<{ readonly stdout: string }> {
    const all = [...words, '--data', join(stage.world.folder, 'edge')];
    return stage.world.edge.run(programPath('culvert-edge'), all, { timeoutMs: commandMs });
  }

  /** At the machine of the edge: all of them gone with the same call and no rules. */
  async function atEdge(rules: string): Promise<void> {
    const stdin = `add table inet fault\ndelete table inet fault\n${rules === '' ? '' : `table inet fault {\n${rules}\n}\n`}`;
    await stage.world.edge.run('nft', ['-f', '-'], { stdin });
  }

  /** The router translates, and forgets at once what it translated. */
  async function translate(isOn: boolean): Promise<void> {
    const { router } = stage.world;
    for (const kind of ['', '_stream']) {
      const at = `/proc/sys/net/netfilter/nf_conntrack_udp_timeout${kind}`;
      await router.run('tee', [at], { stdin: isOn ? '1' : '120' });
    }
    const chain = `table ip forgets { chain out { type nat hook postrouting priority srcnat; oifname "out0" meta l4proto udp masquerade random; }; }\n`;
    const stdin = `add table ip forgets\ndelete table ip forgets\n${isOn ? chain : ''}`;
    await router.run('nft', ['-f', '-'], { stdin });
  }

  /** Another device of the edge, behind no fault, that UDP carries: then the edge knows that others are heard. */
  async function meetNeighbour(): Promise<void> {
    if (neighbour !== undefined) return;
    const { router, folder } = stage.world;
    const own = join(folder, 'neighbour');
    rmSync(own, { recursive: true, force: true });
    const { stdout } = await edge('device', 'add', `neighbour-${Date.now()}`, '--generate');
    const file = join(folder, 'neighbour.conf');
    writeFileSync(file, stdout.replace('edge.example', places.edge), { mode: 0o600 });
    const socket = join(folder, 'neighbour.sock');
    const words = ['daemon', '--foreground', '--state-dir', own, '--socket', socket];
    const child = await router.start('the neighbour', [programPath('culvert'), ...words]);
    neighbour = child;
    const control = new ControlClient(socket);
    await untilAnswers(child, () => control.call('status'), commandMs);
    for (const one of [
      ['settings', 'set', 'mode', 'proxy'],
      ['settings', 'set', 'proxy.port', '0'],
      ['import', file],
      ['connect', '--wait', '--timeout', '50s'],
    ]) {
      await router.run(programPath('culvert'), [...one, '--socket', socket], { timeoutMs: commandMs });
    }
  }

  /** The faults of a network that hold from the start; what happens after the first page comes after the connect. */
  function inNetwork(name: string, fault: string, isReached: Row['isReached']): Row {
    const { steps }: LabNetwork = networkNamed(name);
    const take = async (from: string): Promise<void> => {
      const wanted = steps.filter((step) => (from === 'page' ? step.from === 'page' : step.from === 'start'));
      for (const step of wanted) if (step.do !== 'start-edge') await stage.take(step);
    };
    return { title: name, fault, isReached, before: () => take('start'), after: () => take('page') };
  }

  async function until(isReached: Row['isReached']): Promise<void> {
    const deadline = performance.now() + steadyMs;
    while (performance.now() < deadline && !isReached(await stage.control.call('status'))) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function examine({ before, after, isReached }: Row, mode: Mode): Promise<readonly [string, string]> {
    await stage.again(mode);
    await before?.();
    await stage.control.call('connect', {});
    if (after !== undefined) await until((status) => isConnected(status) || isReached(status));
    await after?.();
    await until(isReached);
    const { fault } = await stage.control.call('doctor');
    const { state } = await stage.control.call('status');
    return [fault, state];
  }

  async function play(row: Row, mode: Mode): Promise<void> {
    let [named, state] = ['', ''];
    for (let i = 0; i < tries && named !== row.fault; i++) {
      try {
        [named, state] = await examine(row, mode);
      } finally {
        await row.undo?.();
      }
    }
    outcomes.push({ title: row.title, mode, state, named, expected: row.fault });
    // At once, so that a run that ends early leaves what it saw.
    writeFileSync(path, `${tableOf(outcomes)}\n`);
  }

  const input = 'chain in { type filter hook input priority 0; iifname "out0" udp dport 51820 drop; }';
  const output = 'chain out { type filter hook output priority 0; oifname "out0" udp sport 51820 drop; }';
  const change = (values: Record<string, unknown>): Promise<unknown> =>
    stage.control.call('changeSettings', values as never);
  /** The kernel's WireGuard cannot be carried inside TLS, so it ends with an error, closed. */
  const stops = { transport: 'tls', 'tunnel.backend': 'kernel' };
  const goesOn = { transport: null, 'tunnel.backend': null };
  const stopped = {
    isReached: ({ state }: Status): boolean => state === 'blocked',
    undo: async () => {
      await change(goesOn);
      await edge('device', 'enable', 'laptop');
    },
  };

  const alone: Row[] = [
    {
      title: 'cloud firewall closed',
      fault: 'edge-firewall',
      after: () => atEdge(input),
      isReached: shows('udp-blocked'),
      undo: () => atEdge(''),
    },
    {
      title: 'replies of the edge lost',
      fault: 'replies-lost',
      before: () => atEdge(output),
      isReached: isConnected,
      undo: () => atEdge(''),
    },
    {
      title: 'source port rewritten',
      fault: 'port-rewritten',
      before: () => translate(true),
      isReached: isConnected,
      undo: () => translate(false),
    },
    {
      title: 'device disabled at the edge',
      fault: 'device-disabled',
      after: () => edge('device', 'disable', 'laptop'),
      isReached: () => true,
      undo: () => edge('device', 'enable', 'laptop'),
    },
    {
      title: 'stopped by an error',
      fault: 'protection-stopped',
      before: () => change(stops),
      ...stopped,
    },
    {
      title: 'stopped by an error, and disabled at the edge',
      fault: 'device-disabled',
      before: async () => {
        await edge('device', 'disable', 'laptop');
        await change(stops);
      },
      ...stopped,
    },
  ];
  const forgotten: Row = {
    title: 'device removed at the edge',
    fault: 'key-revoked',
    after: () => edge('device', 'remove', 'laptop'),
    isReached: isSilent,
    undo: async () => {
      await stage.control.call('disconnect');
      await until(({ state }) => state === 'off');
      await stage.control.call('removeEdge', { name: 'home' });
      await stage.enroll();
    },
  };
  const wrongClock: Row = {
    title: 'clock five years behind',
    fault: 'clock-off',
    before: () => stage.restartDaemon(['env', `LD_PRELOAD=${fakeTime}`, ...fiveYearsBehind]),
    isReached: isSilent,
    undo: () => stage.restartDaemon(),
  };
  alone.push(forgotten, ...(existsSync(fakeTime) ? [wrongClock] : []));
  const amongOthers: readonly Row[] = [
    inNetwork('good', 'healthy', isConnected),
    inNetwork('portal', 'portal', ({ state }) => state === 'portal'),
    inNetwork('udp-block', 'udp-blocked', isConnected),
    inNetwork('udp-throttle', 'udp-throttled', shows('udp-slow')),
    inNetwork('big-udp-drop', 'large-packets-vanish', shows('mtu-broken')),
    inNetwork('loss3', 'packets-lost', isConnected),
    inNetwork('mtu1280', 'narrow-path', isConnected),
    inNetwork('dns-hijack', 'dns-tampered', isConnected),
    inNetwork('tls-intercept', 'tls-intercepted', shows('tls-intercepted')),
    inNetwork('edge-down', 'edge-port-closed', ({ state }) => state === 'connecting'),
  ];
  const chosen = (rows: readonly Row[], mode: Mode): readonly Row[] =>
    rows.filter(({ title }) => isWhole || mode === modes[0] || rowsOfAnyMode.includes(title));
  /** Told at once: a second try would hide them. */
  const wrongOnes = (mode: Mode): readonly Outcome[] => {
    const wrong = outcomes.filter((one) => one.mode === mode && one.named !== one.expected);
    if (wrong.length > 0) process.stdout.write(`${JSON.stringify(wrong)}\n`);
    return wrong;
  };

  function forget(mode: Mode, rows: readonly Row[]): void {
    const titles = rows.map(({ title }) => title);
    const others = outcomes.filter((one) => one.mode !== mode || !titles.includes(one.title));
    outcomes.splice(0, outcomes.length, ...others);
  }

  test.each(modes)(
    '%s: names each fault at the edge, also where culvert stopped by itself',
    {
      timeout: 400_000,
    },
    async (mode) => {
      forget(mode, alone);
      for (const row of chosen(alone, mode)) await play(row, mode);

      expect(wrongOnes(mode)).toEqual([]);
    },
  );

  test.each(modes)('%s: names the fault of each bad network', { timeout: 600_000 }, async (mode) => {
    await meetNeighbour();
    forget(mode, amongOthers);
    for (const row of chosen(amongOthers, mode)) await play(row, mode);

    expect(wrongOnes(mode)).toEqual([]);
  });
});

function tableOf(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ title, mode, state, named }) => [title, mode, state, named]);
  const head = ['fault', 'mode', 'state', 'named'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
