// The real `wg` against our socket with a backend that only remembers, and our client against wireguard-go.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  applyChange,
  diffDevice,
  emptyStatus,
  toDeviceChange,
} from '../../shared/core/uapi/device-change.ts';
import { parseAllDump, parseDump } from '../../shared/core/uapi/dump.ts';
import { parseWgConfig } from '../../shared/core/uapi/wg-config.ts';
import { stripWgConfig } from '../../shared/core/uapi/wg-config-print.ts';
import { type RunOptions, run } from '../../shared/node/run.ts';
import { uapiConfigure, uapiRequest, uapiStatus } from '../../shared/node/uapi/uapi-client.ts';
import {
  defaultUapiDirectory,
  serveUapi,
  type UapiServer,
  uapiPath,
} from '../../shared/node/uapi/uapi-socket.ts';
import { generatePresharedKey, generatePrivateKey, publicKeyOf } from '../../shared/node/wgtools/keys.ts';
import { WgTool } from '../../shared/node/wgtools/wg.ts';
import { MemoryTunnel } from '../support/memory-tunnel.ts';
import { describeWith } from '../support/requires.ts';

const name = `cvu${process.pid % 1_000_000}`;
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const key = (byte: number) => new Uint8Array(32).fill(byte);
const zeros = key(0);

async function wg(parameters: string[], options: RunOptions = {}): Promise<string> {
  return (await run('wg', parameters, options)).stdout;
}

/** What `wg` complains, where it fails. */
async function complaint(parameters: string[], options: RunOptions = {}): Promise<string> {
  const result = await run('wg', parameters, { ...options, allowFailure: true });
  return `${result.exitCode} ${result.stderr.trim()}`;
}

describeWith({ root: true, tools: ['wg', 'setpriv'] }, 'the real wg on our socket', () => {
  let tunnel: MemoryTunnel;
  let server: UapiServer;
  const privateKey = generatePrivateKey();
  const presharedKey = generatePresharedKey();

  beforeEach(async () => {
    tunnel = new MemoryTunnel();
    server = await serveUapi({ interfaceName: name, backend: tunnel });
    tunnel.current = {
      ...emptyStatus(),
      privateKey,
      listenPort: 51820,
      fwmark: 0xca6c,
      peers: [
        {
          publicKey: key(2),
          presharedKey,
          endpoint: { address: '2001:db8::9', port: 7 },
          lastHandshakeMs: 1_700_000_000_500,
          rxBytes: 1024,
          txBytes: 5 * 1024 * 1024,
          persistentKeepalive: 25,
          allowedIps: ['10.7.0.2/32', 'fd00::/64'],
        },
        {
          publicKey: key(3),
          presharedKey: zeros,
          endpoint: undefined,
          lastHandshakeMs: 0,
          rxBytes: 0,
          txBytes: 0,
          persistentKeepalive: 0,
          allowedIps: [],
        },
      ],
    };
  });

  afterEach(async () => {
    await server.close();
  });

  test('show prints everything for people', async () => {
    const text = await wg(['show', name]);

    expect(text).toContain(`interface: ${name}`);
    expect(text).toContain(`public key: ${base64(publicKeyOf(privateKey))}`);
    expect(text).toContain('listening port: 51820');
    expect(text).toContain('fwmark: 0xca6c');
    expect(text).toContain('endpoint: [2001:db8::9]:7');
    expect(text).toContain('allowed ips: 10.7.0.2/32, fd00::/64');
    expect(text).toContain('transfer: 1.00 KiB received, 5.00 MiB sent');
    expect(text).toContain('persistent keepalive: every 25 seconds');
    expect(text).toContain('latest handshake: ');
  });

  test('show prints every field by itself', async () => {
    const [one, two] = [base64(key(2)), base64(key(3))];
    const forms: [form: string, expected: string][] = [
      ['public-key', base64(publicKeyOf(privateKey))],
      ['private-key', base64(privateKey)],
      ['listen-port', '51820'],
      ['fwmark', '0xca6c'],
      ['peers', `${one}\n${two}`],
      ['preshared-keys', `${one}\t${base64(presharedKey)}\n${two}\t(none)`],
      ['endpoints', `${one}\t[2001:db8::9]:7\n${two}\t(none)`],
      ['allowed-ips', `${one}\t10.7.0.2/32 fd00::/64\n${two}\t(none)`],
      ['latest-handshakes', `${one}\t1700000000\n${two}\t0`],
      ['transfer', `${one}\t1024\t5242880\n${two}\t0\t0`],
      ['persistent-keepalive', `${one}\t25\n${two}\toff`],
    ];

    for (const [form, expected] of forms)
      expect([form, await wg(['show', name, form])]).toEqual([form, `${expected}\n`]);
  });

  test('show interfaces lists it, and show all shows it', async () => {
    expect((await wg(['show', 'interfaces'])).split(/\s+/)).toContain(name);
    expect(await wg(['show', 'all'])).toContain(`interface: ${name}`);
    expect(await wg([])).toContain(`interface: ${name}`);
  });

  test('dump is read back by our parser', async () => {
    const expected = {
      privateKey,
      publicKey: publicKeyOf(privateKey),
      listenPort: 51820,
      fwmark: 0xca6c,
      peers: tunnel.current.peers.map((peer) => ({
        ...peer,
        lastHandshakeMs: Math.floor(peer.lastHandshakeMs / 1000) * 1000,
      })),
    };

    expect(parseDump(await wg(['show', name, 'dump']))).toMatchObject(expected);
    const all = parseAllDump(await wg(['show', 'all', 'dump']));
    expect(all?.find(({ interfaceName }) => interfaceName === name)?.status).toMatchObject(expected);
  });

  test('an empty device is shown as one', async () => {
    tunnel.current = emptyStatus();

    expect(await wg(['show', name, 'dump'])).toBe('(none)\t(none)\t0\toff\n');
  });

  test('a link-local endpoint is shown and set by the number of its interface', async () => {
    await wg(['set', name, 'peer', base64(key(2)), 'endpoint', '[fe80::1%lo]:7']);

    expect(tunnel.current.peers[0].endpoint).toEqual({ address: 'fe80::1%1', port: 7 });
    expect(await wg(['show', name, 'endpoints'])).toContain('[fe80::1%lo]:7');
  });

  test.each(['fe80::1%77', 'host.example', 'fe80::1%nosuch'])(
    'does not crash wg with the endpoint address %s',
    async (address) => {
      tunnel.current = {
        ...tunnel.current,
        peers: tunnel.current.peers.map((peer) => ({ ...peer, endpoint: { address, port: 7 } })),
      };

      expect(await wg(['show', name, 'endpoints'])).toContain(base64(key(3)));
    },
  );

  test('set changes the device', async () => {
    const fresh = generatePrivateKey();

    await wg(['set', name, 'private-key', '/dev/stdin', 'listen-port', '7', 'fwmark', '0x10'], {
      stdin: base64(fresh),
    });

    expect(tunnel.current).toMatchObject({ privateKey: fresh, listenPort: 7, fwmark: 16 });
    await wg(['set', name, 'fwmark', 'off', 'listen-port', '0']);
    expect(tunnel.current).toMatchObject({ fwmark: 0, listenPort: 0 });
  });

  test('set adds, changes and removes peers', async () => {
    const peer = ['set', name, 'peer', base64(key(4))];

    await wg(
      [...peer, 'preshared-key', '/dev/stdin', 'endpoint', '192.0.2.1:7', 'persistent-keepalive', '9'],
      {
        stdin: base64(key(9)),
      },
    );
    await wg([...peer, 'allowed-ips', '10.7.0.2/32,10.9.1.2/16']);
    await wg(['set', name, 'peer', base64(key(3)), 'remove', 'peer', base64(key(8)), 'remove']);

    expect(tunnel.current.peers.map((one) => [one.publicKey[0], one.allowedIps])).toEqual([
      [2, ['fd00::/64']],
      [4, ['10.7.0.2/32', '10.9.0.0/16']],
    ]);
    expect(tunnel.current.peers[1]).toMatchObject({
      presharedKey: key(9),
      endpoint: { address: '192.0.2.1', port: 7 },
      persistentKeepalive: 9,
    });
  });

  test('set takes 500 peers at once', async () => {
    const peers = Array.from({ length: 500 }, (_, i) => {
      const publicKey = key(5);
      publicKey.set([i >> 8, i & 255], 4);
      return [
        'peer',
        base64(publicKey),
        'allowed-ips',
        `10.${i >> 8}.${i & 255}.0/24`,
        'endpoint',
        `192.0.2.1:${i + 1}`,
      ];
    });

    await wg(['set', name, ...peers.flat()]);

    expect(tunnel.changes).toHaveLength(1);
    expect(tunnel.current.peers).toHaveLength(502);
    expect(parseDump(await wg(['show', name, 'dump']))?.peers).toHaveLength(502);
  });

  const file = `[Interface]
PrivateKey = ${base64(key(64))}
ListenPort = 51999
Address = 10.7.0.1/24
DNS = 1.1.1.1
MTU = 1400
PostUp = true

[Peer]
PublicKey = ${base64(key(3))}
AllowedIPs = 10.3.0.0/16, fd03::/64
Endpoint = 192.0.2.3:3
PersistentKeepalive = 3

[Peer]
PublicKey = ${base64(key(5))}
PresharedKey = ${base64(key(6))}
AllowedIPs = 10.7.0.2/32
`;
  const parsed = parseWgConfig(file);
  if (parsed.kind !== 'config') throw new Error('the file of this test is wrong');
  const { config } = parsed;
  const settings = (status: typeof tunnel.current) => ({
    ...status,
    peers: status.peers.map((peer) => ({ ...peer, allowedIps: peer.allowedIps.toSorted() })).toSorted(byKey),
  });
  const byKey = (a: { publicKey: Uint8Array }, b: { publicKey: Uint8Array }) =>
    a.publicKey[0] - b.publicKey[0];

  test('setconf takes what we strip, and means what we think it means', async () => {
    const expected = applyChange(tunnel.current, { fwmark: 0, ...toDeviceChange(config, new Map()) });

    await wg(['setconf', name, '/dev/stdin'], { stdin: stripWgConfig(config) });

    expect(settings(tunnel.current)).toEqual(settings(expected));
    expect(await complaint(['setconf', name, '/dev/stdin'], { stdin: file })).toContain('Line unrecognized');
  });

  test('addconf adds and leaves the others', async () => {
    await wg(['addconf', name, '/dev/stdin'], {
      stdin: `[Peer]\nPublicKey = ${base64(key(7))}\nAllowedIPs = fd00::/64\n`,
    });

    expect(tunnel.current.peers.map((peer) => [peer.publicKey[0], peer.allowedIps])).toEqual([
      [2, ['10.7.0.2/32']],
      [3, []],
      [7, ['fd00::/64']],
    ]);
    expect(tunnel.current.fwmark).toBe(0xca6c);
  });

  test('syncconf comes to what our own diff comes to', async () => {
    const before = tunnel.current;

    await wg(['syncconf', name, '/dev/stdin'], { stdin: stripWgConfig(config) });

    const ours = applyChange(before, diffDevice(before, { fwmark: 0, ...toDeviceChange(config, new Map()) }));
    expect(settings(tunnel.current)).toEqual(settings(ours));
    expect(tunnel.changes.every((change) => change.replacePeers !== true)).toBe(true);
  });

  test('showconf prints a file that we and setconf read', async () => {
    const before = tunnel.current;
    const shown = await wg(['showconf', name]);

    const read = parseWgConfig(shown);
    if (read.kind !== 'config') throw new Error(JSON.stringify(read.faults));
    tunnel.current = emptyStatus();
    await wg(['setconf', name, '/dev/stdin'], { stdin: stripWgConfig(read.config) });

    const fresh = before.peers.map((peer) => ({ ...peer, lastHandshakeMs: 0, rxBytes: 0, txBytes: 0 }));
    expect(settings(tunnel.current)).toEqual(settings({ ...before, peers: fresh }));
  });

  test('errors are told in words', async () => {
    const cases: [errno: number, words: string][] = [
      [98, 'Address already in use'],
      [1, 'Operation not permitted'],
      [22, 'Invalid argument'],
    ];

    for (const [errno, words] of cases) {
      tunnel.failure = new CulvertError('command-failed', { errno });
      expect(await complaint(['set', name, 'listen-port', '7'])).toBe(
        `1 Unable to modify interface: ${words}`,
      );
    }
    expect(tunnel.changes).toEqual([]);
  });

  test('others may not look', async () => {
    const asOther = ['--reuid=65534', '--regid=65534', '--clear-groups', 'wg', 'show', name];
    const result = await run('setpriv', asOther, { allowFailure: true });

    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toContain('Permission denied');
    expect(result.stdout).toBe('');
  });

  test('the typed wrapper reads and changes it', async () => {
    const tool = new WgTool();

    await tool.configure('setconf', name, config);
    await tool.removePeer(name, key(5));

    expect(await tool.version()).toMatch(/^\d/);
    expect(await tool.interfaces()).toContain(name);
    expect(await tool.dump(name)).toMatchObject({ listenPort: 51999, peers: [{ publicKey: key(3) }] });
    expect((await tool.dumpAll()).map(({ interfaceName }) => interfaceName)).toContain(name);
  });

  test('a tunnel that is not there is told by its error', async () => {
    await expect(new WgTool().dump('cvu-none')).rejects.toMatchObject({ code: 'command-failed' });
  });

  test('public keys are those of wg pubkey', async () => {
    for (let i = 0; i < 5; i++) {
      const made = (await wg(['genkey'])).trim();
      const expected = (await wg(['pubkey'], { stdin: made })).trim();
      expect(base64(publicKeyOf(new Uint8Array(Buffer.from(made, 'base64'))))).toBe(expected);
    }
  });
});

describeWith(
  { namespaces: true, tools: ['wireguard-go', 'ip'] },
  'our client on the socket of wireguard-go',
  () => {
    const space = `cvu-${process.pid}`;
    const path = uapiPath(name, defaultUapiDirectory);
    let child: ChildProcess;

    beforeAll(async () => {
      await run('mkdir', ['-p', defaultUapiDirectory]);
      await run('ip', ['netns', 'add', space]);
      child = spawn('ip', ['netns', 'exec', space, 'wireguard-go', '-f', name], { stdio: 'ignore' });
      await appearance(path);
    });

    afterAll(async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await ended;
      }
      await run('ip', ['netns', 'del', space]);
    });

    test('makes changes that are read back, and sends the smallest difference', async () => {
      const wanted = {
        privateKey: generatePrivateKey(),
        listenPort: 51820,
        fwmark: 7,
        replacePeers: true,
        peers: [
          {
            publicKey: publicKeyOf(generatePrivateKey()),
            presharedKey: generatePresharedKey(),
            endpoint: { address: '2001:db8::1', port: 9 },
            persistentKeepalive: 25,
            replaceAllowedIps: true,
            allowedIps: ['10.0.0.0/8', 'fd00::/64'],
          },
          {
            publicKey: publicKeyOf(generatePrivateKey()),
            replaceAllowedIps: true,
            allowedIps: ['192.0.2.7/32'],
          },
        ],
      };

      await uapiConfigure(path, wanted);

      const status = await uapiStatus(path);
      expect(diffDevice(status, wanted)).toEqual({ peers: [] });
      expect(status.listenPort).toBe(51820);
      expect(status.peers).toHaveLength(2);

      const next = { ...wanted, peers: [{ ...wanted.peers[1], allowedIps: ['10.0.0.0/8'] }] };
      const change = diffDevice(status, next);
      expect(change.peers).toHaveLength(2);
      await uapiConfigure(path, change);
      expect(diffDevice(await uapiStatus(path), next)).toEqual({ peers: [] });
    });

    test('hears its refusals', async () => {
      expect(await uapiRequest(path, 'set=1\nlisten_port=70000\n\n')).toBe('errno=-22\n\n');
      await expect(uapiRequest(path, 'hello\n\n')).rejects.toMatchObject({ code: 'command-failed' });
      const taken = { publicKey: key(9), removeAllowedIps: ['10.0.0.0/8'], allowedIps: [] };
      await expect(uapiConfigure(path, { peers: [taken] })).rejects.toMatchObject({ errno: 22 });
    });

    test('our server does not take its place', async () => {
      const backend = new MemoryTunnel();

      await expect(serveUapi({ interfaceName: name, backend })).rejects.toMatchObject({
        code: 'interface-exists',
      });
    });

    test('its socket that nobody answers on any more is replaced by ours', async () => {
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      expect(existsSync(path)).toBe(true);

      const server = await serveUapi({ interfaceName: name, backend: new MemoryTunnel() });

      expect(await uapiRequest(path, 'get=1\n\n')).toBe('errno=0\n\n');
      await server.close();
      expect(existsSync(path)).toBe(false);
    });
  },
);

/** Waits until the file is there. */
async function appearance(path: string): Promise<void> {
  for (let tries = 0; tries < 500 && !existsSync(path); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(existsSync(path)).toBe(true);
}
