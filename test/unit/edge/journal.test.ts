/** What an edge changed on its host is written first and taken back last. */

import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyForwarding, type KernelSettings, planForwarding } from '../../../edge/host/forwarding.ts';
import { type HostChange, HostJournal, type HostPlace } from '../../../edge/host/journal.ts';
import { applyGuard } from '../../../edge/host/kernel-nat.ts';
import { undoJournal } from '../../../edge/host/undo.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import { silentLog } from '../../../shared/node/silent-log.ts';

const here: HostPlace = { boot: 'boot-1', netns: 'net:[1]' };
const table: HostChange = { kind: 'nft-table', table: 'culvert_edge' };
const forward = 'net/ipv4/ip_forward';
const forwardV6 = 'net/ipv6/conf/all/forwarding';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-journal-'));
  path = join(folder, 'journal.jsonl');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

class FakeKernel implements KernelSettings {
  readonly values: Map<string, string>;
  readonly interfaces: string[];
  readonly refused = new Set<string>();

  constructor(values: Record<string, string>, interfaces: string[] = []) {
    this.values = new Map(Object.entries(values));
    this.interfaces = interfaces;
  }

  read(path: string): string | undefined {
    return this.values.get(path);
  }

  write(path: string, value: string): void {
    if (this.refused.has(path)) throw new Error('EROFS');
    this.values.set(path, value);
  }

  ipv6Interfaces(): readonly string[] {
    return this.interfaces;
  }
}

function fakeRun(scripts: string[], exitCode = 0): Run {
  return (program, parameters, options) => {
    scripts.push([program, ...parameters, options?.stdin].join(' '));
    return Promise.resolve({ exitCode, stdout: '', stderr: exitCode === 0 ? '' : 'Error: no' });
  };
}

describe('the journal', () => {
  test('is on the disk before the change is made', () => {
    const journal = new HostJournal(path, here);
    const kernel = new FakeKernel({ [forward]: '0' });
    let atTheWrite: string | undefined;
    kernel.write = () => {
      atTheWrite = readFileSync(path, 'utf8');
    };

    applyForwarding(planForwarding({ v4: true, v6: false }, kernel), journal, kernel);

    expect(atTheWrite).toContain(forward);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('is read again by the next run, newest change first', () => {
    const first = new HostJournal(path, here);
    first.record(table);
    first.record({ kind: 'sysctl', path: forward, before: '0', after: '1' });

    expect(new HostJournal(path, here).pending.map((change) => change.kind)).toEqual(['sysctl', 'nft-table']);
  });

  test.each([
    ['another boot', { ...here, boot: 'boot-2' }],
    ['another network namespace', { ...here, netns: 'net:[2]' }],
  ])('means nothing in %s', (_title, place) => {
    new HostJournal(path, here).record(table);

    expect(new HostJournal(path, place).pending).toEqual([]);
  });

  test('leaves out a last line that a crash cut off', () => {
    new HostJournal(path, here).record(table);
    appendFileSync(path, '{"boot":"boot-1","netns":"net:[1]","change":{"kind":"sys');

    expect(new HostJournal(path, here).pending).toEqual([table]);
  });

  test.each(['nonsense\n', '{"boot":"b","netns":"n","change":{"kind":"else"}}\n', '[]\n'])(
    'is not guessed at where a line makes no sense: %j',
    (text) => {
      writeFileSync(path, text);

      expect(() => new HostJournal(path, here)).toThrow(
        expect.objectContaining({ code: 'journal-unreadable', message: expect.stringContaining('Line 1') }),
      );
    },
  );
});

describe('undoing', () => {
  test('takes everything back, newest first, and empties the journal', async () => {
    const journal = new HostJournal(path, here);
    const kernel = new FakeKernel({ [forward]: '0' });
    const scripts: string[] = [];
    journal.record(table);
    applyForwarding(planForwarding({ v4: true, v6: false }, kernel), journal, kernel);

    const undone = await undoJournal(journal, { run: fakeRun(scripts), settings: kernel, log: silentLog });

    expect(undone).toBe(2);
    expect(kernel.values.get(forward)).toBe('0');
    expect(scripts).toEqual(['nft -f - table inet culvert_edge\ndelete table inet culvert_edge\n']);
    expect(existsSync(path)).toBe(false);
    expect(journal.pending).toEqual([]);
  });

  test('takes back the rules and the table of a path, for both families', async () => {
    const journal = new HostJournal(path, here);
    const commands: string[] = [];
    const mark = '0x05000000/0x7f000000';
    journal.record({ kind: 'nft-table', table: 'culvert_edge_paths' });
    journal.record({ kind: 'path-route', mark, table: 1_083_005, priority: 8305 });

    const again = new HostJournal(path, here);
    const tools = { run: fakeRun(commands), settings: new FakeKernel({}), log: silentLog };
    await undoJournal(again, tools);

    const last = 'unreachable default table 1083005 metric 4294967295';
    expect(commands).toEqual([
      ...['-4', '-6'].flatMap((family) => [
        `ip ${family} rule delete fwmark ${mark} lookup 1083005 priority 8305 `,
        `ip ${family} route flush table 1083005 `,
        `ip ${family} route delete ${last} `,
      ]),
      'nft -f - table inet culvert_edge_paths\ndelete table inet culvert_edge_paths\n',
    ]);
  });

  test('leaves a setting alone that somebody else has changed since', async () => {
    const journal = new HostJournal(path, here);
    journal.record({ kind: 'sysctl', path: forward, before: '0', after: '1' });
    const kernel = new FakeKernel({ [forward]: '2' });

    await undoJournal(journal, { run: fakeRun([]), settings: kernel, log: silentLog });

    expect(kernel.values.get(forward)).toBe('2');
  });

  test('keeps the journal where something could not be taken back, and goes on with the rest', async () => {
    const journal = new HostJournal(path, here);
    journal.record({ kind: 'sysctl', path: forward, before: '0', after: '1' });
    journal.record(table);
    const kernel = new FakeKernel({ [forward]: '1' });

    const undone = await undoJournal(journal, { run: fakeRun([], 1), settings: kernel, log: silentLog });

    expect(undone).toBe(1);
    expect(kernel.values.get(forward)).toBe('0');
    expect(new HostJournal(path, here).pending).toHaveLength(2);
  });
});

describe('forwarding', () => {
  test('changes nothing on a host that forwards already', () => {
    const kernel = new FakeKernel({ [forward]: '1', [forwardV6]: '1' }, ['eth0']);

    expect(planForwarding({ v4: true, v6: true }, kernel)).toEqual([]);
  });

  test('keeps listening to routers where this host learns its own IPv6 route from them', () => {
    const kernel = new FakeKernel(
      { [forwardV6]: '0', 'net/ipv6/conf/eth0/accept_ra': '1', 'net/ipv6/conf/eth1/accept_ra': '0' },
      ['eth0', 'eth1'],
    );

    expect(planForwarding({ v4: false, v6: true }, kernel)).toEqual([
      { kind: 'sysctl', path: 'net/ipv6/conf/eth0/accept_ra', before: '1', after: '2' },
      { kind: 'sysctl', path: forwardV6, before: '0', after: '1' },
    ]);
  });

  test('that cannot be switched on is an error with the line that would', () => {
    const kernel = new FakeKernel({ [forward]: '0' });
    kernel.refused.add(forward);
    const apply = (): void =>
      applyForwarding(planForwarding({ v4: true, v6: false }, kernel), new HostJournal(path, here), kernel);

    expect(apply).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('sysctl -w net.ipv4.ip_forward=1') }),
    );
  });
});

describe('applying the guard', () => {
  const plan = {
    interfaceNames: ['cvedge0'],
    mtu: 1420,
    v4: { prefix: '10.83.0.0/16', gateway: '10.83.0.1' },
    v6: undefined,
    closePrivate: true,
    connectionsPerSecond: 0,
    services: [],
    allow: [],
  };

  test('is journalled once, however often it is applied', async () => {
    const journal = new HostJournal(path, here);

    await applyGuard(plan, journal, fakeRun([]));
    await applyGuard(plan, journal, fakeRun([]));

    expect(journal.pending).toEqual([table]);
  });

  test('that nftables refuses is an error that quotes it', async () => {
    const applied = applyGuard(plan, new HostJournal(path, here), fakeRun([], 1));

    await expect(applied).rejects.toBeInstanceOf(CulvertError);
    await expect(applied).rejects.toThrow('Error: no');
  });
});
