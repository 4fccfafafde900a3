import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unixMs } from '../../../../../shared/core/base/time.ts';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import type { DeviceStatus } from '../../../../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../../../../shared/core/tunnel/events.ts';
import { applyChange, emptyStatus } from '../../../../../shared/core/uapi/device-change.ts';
import { plainRules } from '../../../../../shared/core/wire/disguise-rules.ts';
import type { Run, RunOptions, RunResult } from '../../../../../shared/node/run.ts';
import {
  createKernelDevice,
  kernelModuleAvailable,
  planConfig,
} from '../../../../../shared/node/wgtools/kernel-device.ts';
import { KernelEvents } from '../../../../../shared/node/wgtools/kernel-events.ts';
import { rulesOf } from '../../../../support/disguises.ts';
import { changes, fixedSeed, statuses } from '../../core/uapi/arbitraries.ts';

const privateText = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';
const publicText = 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=';
const peerText = 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=';
const key = (byte: number) => new Uint8Array(32).fill(byte);
const dump = `${privateText}\t${publicText}\t51820\toff\n${peerText}\t(none)\t192.0.2.9:7\t10.0.0.0/8\t0\t0\t0\t25\n`;

type Answer = Partial<RunResult> | Error;

/** Answers from a table by the start of the command line, and remembers what was run. */
function fakeRun(answers: Record<string, Answer>) {
  const ran: { line: string; stdin: string | undefined }[] = [];
  const run: Run = async (program, parameters, options: RunOptions = {}) => {
    const line = [program, ...parameters].join(' ');
    ran.push({ line, stdin: options.stdin });
    const answer = Object.entries(answers).find(([start]) => line.startsWith(start))?.[1] ?? {};
    if (answer instanceof Error) throw answer;
    return { exitCode: 0, stdout: '', stderr: '', ...answer };
  };
  return { run, ran };
}

/** A timer that ticks when the test says so. */
function handTimer() {
  const ticks: (() => void)[] = [];
  let ended = 0;
  const every = (_periodMs: number, act: () => void) => {
    ticks.push(act);
    return () => {
      ended += 1;
      ticks.length = 0;
    };
  };
  const settle = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return {
    every,
    tick: async () => {
      for (const act of ticks.slice()) act();
      await settle();
    },
    running: () => ticks.length > 0,
    ended: () => ended,
  };
}

describe('kernelModuleAvailable', () => {
  test('makes an interface of a random name and takes it away again', async () => {
    const { run, ran } = fakeRun({});

    expect(await kernelModuleAvailable(run)).toBe(true);

    const name = /^ip link add dev (cvt[0-9a-f]{10}) type wireguard$/.exec(ran[0].line)?.[1];
    expect(name).toBeDefined();
    expect(ran.map(({ line }) => line).slice(1)).toEqual([`ip link del dev ${name}`]);
  });

  test('says no where the kernel does not know the type', async () => {
    const { run, ran } = fakeRun({ 'ip link add': { exitCode: 2, stderr: 'Error: Unknown device type.\n' } });

    expect(await kernelModuleAvailable(run)).toBe(false);
    expect(ran).toHaveLength(1);
  });

  test('cannot tell without rights', async () => {
    const { run } = fakeRun({
      'ip link add': { exitCode: 2, stderr: 'RTNETLINK answers: Operation not permitted\n' },
    });

    await expect(kernelModuleAvailable(run)).rejects.toMatchObject({ code: 'not-root' });
  });
});

describe('createKernelDevice', () => {
  test.each([
    ['RTNETLINK answers: File exists', 'interface-exists'],
    ['RTNETLINK answers: Operation not permitted', 'not-root'],
    ['Error: Unknown device type.', 'no-kernel-wireguard'],
    ['RTNETLINK answers: Operation not supported', 'no-kernel-wireguard'],
    ['something else', 'command-failed'],
  ])('turns "%s" into %s', async (stderr, code) => {
    const { run } = fakeRun({ 'ip link add': { exitCode: 2, stderr } });

    await expect(createKernelDevice({ interfaceName: 'wg7', run })).rejects.toMatchObject({ code });
  });

  test('refuses a name that is none before running anything', async () => {
    const { run, ran } = fakeRun({});

    await expect(createKernelDevice({ interfaceName: '../x', run })).rejects.toMatchObject({
      code: 'bad-interface-name',
    });
    expect(ran).toEqual([]);
  });
});

describe('KernelDevice', () => {
  async function device(answers: Record<string, Answer> = {}) {
    const { run, ran } = fakeRun({ 'wg show wg7 dump': { stdout: dump }, ...answers });
    const timer = handTimer();
    const made = await createKernelDevice({
      interfaceName: 'wg7',
      run,
      every: timer.every,
      readMtu: async () => 1420,
    });
    ran.length = 0;
    return { made, ran, timer, answers };
  }

  test('changes a device by one syncconf with secrets on the input only', async () => {
    const { made, ran } = await device();

    await made.configure({
      fwmark: 0xca6c,
      peers: [
        {
          publicKey: key(2),
          presharedKey: key(9),
          endpoint: { address: '2001:db8::1', port: 7 },
          allowedIps: ['10.0.0.0/8'],
        },
      ],
    });

    expect(ran.map(({ line }) => line)).toEqual(['wg show wg7 dump', 'wg syncconf wg7 /dev/stdin']);
    expect(ran[1].stdin).toBe(
      [
        '[Interface]',
        `PrivateKey = ${privateText}`,
        'ListenPort = 51820',
        'FwMark = 0xca6c',
        '',
        '[Peer]',
        `PublicKey = ${peerText}`,
        'PersistentKeepalive = 25',
        '',
        '[Peer]',
        `PublicKey = ${publicText}`,
        `PresharedKey = ${Buffer.from(key(9)).toString('base64')}`,
        'Endpoint = [2001:db8::1]:7',
        'AllowedIPs = 10.0.0.0/8',
        'PersistentKeepalive = off',
        '',
      ].join('\n'),
    );
  });

  test('applies changes one after the other, though one failed', async () => {
    const { made, ran } = await device({ 'wg syncconf': new CulvertError('command-failed', { errno: 98 }) });

    const results = await Promise.allSettled([made.configure({ peers: [] }), made.configure({ peers: [] })]);

    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const lines = ran.map(({ line }) => line.split(' ')[1]);
    expect(lines).toEqual(['show', 'syncconf', 'show', 'syncconf']);
  });

  test('tells the status with the kernel as its data plane', async () => {
    const { made } = await device();

    expect(await made.status()).toMatchObject({
      listenPort: 51820,
      dataplane: { suite: 'kernel', mtu: 1420 },
      peers: [{ persistentKeepalive: 25 }],
    });
  });

  test('removes the interface once, and does not mind that it is gone', async () => {
    const { made, ran } = await device({
      'ip link del': { exitCode: 1, stderr: 'Cannot find device "wg7"\n' },
    });

    await made.stop();
    await made.stop();

    expect(ran.map(({ line }) => line)).toEqual(['ip link del dev wg7']);
  });

  test('asks for news only while somebody listens', async () => {
    const { made, timer } = await device();
    expect(timer.running()).toBe(false);

    const end = made.onEvent(() => undefined);
    expect(timer.running()).toBe(true);
    end();

    expect(timer.running()).toBe(false);
  });

  test('announces a handshake that came between two looks', async () => {
    const answers: Record<string, Answer> = {};
    const { run } = {
      run: ((program, parameters, options) => fakeRun(answers).run(program, parameters, options)) as Run,
    };
    const timer = handTimer();
    answers['wg show wg7 dump'] = { stdout: dump };
    const made = await createKernelDevice({ interfaceName: 'wg7', run, every: timer.every });
    const events: TunnelEvent[] = [];
    made.onEvent((event) => events.push(event));

    await timer.tick();
    answers['wg show wg7 dump'] = {
      stdout: dump.replace('\t0\t0\t0\t25', `\t${Math.floor(Date.now() / 1000)}\t1\t1\t25`),
    };
    await timer.tick();

    expect(events).toEqual([{ kind: 'established', publicKey: key(3), role: 'initiator' }]);
  });

  test('announces once that the interface is gone', async () => {
    const { made, timer } = await device({
      'wg show wg7 dump': new CulvertError('command-failed', { text: 'No such device', errno: 19 }),
    });
    const ends: string[] = [];
    made.onEnd((why) => ends.push(why));

    await timer.tick();
    await timer.tick();

    expect(ends).toEqual(['gone']);
    expect(timer.running()).toBe(false);
  });

  test('waits for the next look where one failed otherwise', async () => {
    const { made, timer } = await device({ 'wg show wg7 dump': new CulvertError('command-failed') });
    const ends: string[] = [];
    made.onEnd((why) => ends.push(why));

    await timer.tick();

    expect(ends).toEqual([]);
    expect(timer.running()).toBe(true);
  });
});

describe('planConfig', () => {
  test('describes the device after the change, with no endpoint but those of the change', () => {
    fc.assert(
      fc.property(statuses, changes, (current, change) => {
        const plan = planConfig(current, change);

        const target = applyChange(current, change);
        expect(plan.interface.listenPort).toBe(target.listenPort);
        expect(plan.interface.fwmark).toBe(target.fwmark);
        expect(plan.peers.map((peer) => peer.publicKey)).toEqual(target.peers.map((peer) => peer.publicKey));
        for (const [i, peer] of plan.peers.entries()) {
          const asked = change.peers.some(
            (one) => one.endpoint && String(one.publicKey) === String(peer.publicKey),
          );
          expect(peer.endpoint !== undefined).toBe(asked && target.peers[i].endpoint !== undefined);
          expect(peer.allowedIps).toEqual(target.peers[i].allowedIps);
        }
      }),
      fixedSeed,
    );
  });
});

describe('KernelEvents', () => {
  const start = 1_800_000_000_000;
  const peer = {
    publicKey: key(3),
    presharedKey: key(0),
    endpoint: undefined,
    lastHandshakeMs: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
  };
  const statusOf = (change: Partial<DeviceStatus['peers'][number]>) => ({
    ...emptyStatus(),
    peers: [{ ...peer, ...change }],
  });
  const place = (port: number) => ({ endpoint: { address: '192.0.2.1', port } });

  test('tells the life of a session', () => {
    const events = new KernelEvents();
    const steps: [atMs: number, change: Partial<DeviceStatus['peers'][number]>, kinds: string[]][] = [
      [0, {}, []],
      [1000, { lastHandshakeMs: start, rxBytes: 92, ...place(1) }, ['established']],
      [2000, { lastHandshakeMs: start, rxBytes: 92, ...place(1) }, []],
      [3000, { lastHandshakeMs: start, rxBytes: 124, ...place(1) }, ['confirmed']],
      [4000, { lastHandshakeMs: start, rxBytes: 224, ...place(2) }, ['roamed']],
      [120_000, { lastHandshakeMs: start + 119_000, rxBytes: 316, ...place(2) }, ['established']],
      [121_000, { lastHandshakeMs: start + 119_000, rxBytes: 400, ...place(2) }, ['confirmed']],
      [300_000, { lastHandshakeMs: start + 119_000, rxBytes: 400, ...place(2) }, ['expired']],
      [301_000, { lastHandshakeMs: start + 119_000, rxBytes: 400, ...place(2) }, []],
    ];

    for (const [atMs, change, kinds] of steps) {
      const told = events.update(statusOf(change), unixMs(start + atMs));
      expect(told.map(({ kind }) => kind)).toEqual(kinds);
    }
  });

  test('says nothing of what was so before the first look', () => {
    const events = new KernelEvents();

    expect(
      events.update(statusOf({ lastHandshakeMs: start, rxBytes: 5, ...place(1) }), unixMs(start + 1000)),
    ).toEqual([]);
  });
});

test('a kernel is never asked for a disguise that it does not know', async () => {
  const { run, ran } = fakeRun({ 'wg show': { stdout: dump } });
  const device = await createKernelDevice({ interfaceName: 'cvt0', run });

  await expect(device.configure({ disguise: rulesOf({ s1: '9' }), peers: [] })).rejects.toMatchObject({
    code: 'kernel-disguise',
  });
  await device.configure({ disguise: plainRules, peers: [] });

  expect(ran.filter(({ line }) => line.startsWith('wg syncconf'))).toHaveLength(1);
});
