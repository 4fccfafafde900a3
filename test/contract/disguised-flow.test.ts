// Two flow workers over real sockets that disguise their messages: everything that they carry in plain clothes, too; what
// a passer-by sees of it; and the handshakes by which a client asks an edge from outside of its tunnel.

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { UdpProbe } from '../../client/diagnostics/udp-probe.ts';
import { probeEdge } from '../../client/failover/handshake-probe.ts';
import { udpReaches } from '../../edge/doctor/self-test.ts';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import { type DisguiseFields, disguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import type { FlowBackend } from '../../shared/node/flows/contract.ts';
import { startFlowThread } from '../../shared/node/flows/flow-thread-link.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { firstVersionFields, fullFields, rulesOf } from '../support/disguises.ts';
import { seededKey } from '../support/seeded.ts';

const entry = new URL('../support/flow-role-program.ts', import.meta.url);
const addresses = ['10.9.0.1', '10.9.0.2'] as const;
const to = parseAddress(addresses[1])!;
const kinds = ffiAvailable().ok ? (['linux', 'dgram'] as const) : (['dgram'] as const);
const noKey = new Uint8Array(32);

const secrets = [seededKey(41), seededKey(42)] as const;
const publicKeys = secrets.map((one) => portableSuite.publicKey(one));

/** Stands on the way of datagrams and remembers them. */
class PasserBy {
  readonly seen: Uint8Array[] = [];
  readonly #near = createSocket('udp4');
  readonly #far = createSocket('udp4');

  /** Datagrams that come to the returned port go on to `port`, and the answers back. */
  async open(port: number): Promise<number> {
    const bound = async (socket: Socket): Promise<number> => {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      return socket.address().port;
    };
    let back = 0;
    await bound(this.#far);
    this.#near.on('message', (bytes, from) => {
      back = from.port;
      this.seen.push(new Uint8Array(bytes));
      this.#far.send(bytes, port, '127.0.0.1');
    });
    this.#far.on('message', (bytes) => {
      this.seen.push(new Uint8Array(bytes));
      this.#near.send(bytes, back, '127.0.0.1');
    });
    return await bound(this.#near);
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }
}

describe.each(kinds)('two disguised flow workers on %s sockets', (udp) => {
  let started: FlowBackend[] = [];
  let passers: PasserBy[] = [];

  afterEach(async () => {
    await Promise.all(started.map((one) => one.stop()));
    for (const one of passers) one.close();
    started = [];
    passers = [];
  });

  async function start(index: 0 | 1): Promise<FlowBackend> {
    const backend = await startFlowThread({
      entry,
      log: silentLog,
      mtu: 1380,
      addresses: [parseAddress(addresses[index])!],
      acceptAny: false,
      settings: { index },
      udp,
    });
    started.push(backend);
    return backend;
  }

  async function edgeWith(disguise: DisguiseRules): Promise<{ backend: FlowBackend; port: number }> {
    const backend = await start(1);
    const peer = { publicKey: publicKeys[0]!, allowedIps: [`${addresses[0]}/32`] };
    await backend.configure({ privateKey: secrets[1], listenPort: 0, disguise, peers: [peer] });
    return { backend, port: (await backend.status()).listenPort };
  }

  async function clientOf(port: number, disguise: DisguiseRules | undefined): Promise<FlowBackend> {
    const backend = await start(0);
    await backend.configure({
      privateKey: secrets[0],
      ...(disguise === undefined ? {} : { disguise }),
      peers: [
        {
          publicKey: publicKeys[1]!,
          allowedIps: [`${addresses[1]}/32`],
          endpoint: { address: '127.0.0.1', port },
        },
      ],
    });
    return backend;
  }

  test.each<[string, DisguiseFields]>([
    ['every parameter', fullFields],
    ['those of the first version', firstVersionFields],
  ])('carry megabytes and datagrams with %s, and show none of WireGuard', async (_name, fields) => {
    const { backend, port } = await edgeWith(rulesOf(fields));
    const passer = new PasserBy();
    passers.push(passer);
    const client = await clientOf(await passer.open(port), rulesOf(fields));

    expect(await client.call('datagram', { to, size: 5000 })).toBe(5000);
    const few = passer.seen.slice();
    expect(await client.call('transfer', { to, size: 1_000_000 })).toBe('1000000 bytes, 0 wrong');

    expect((await backend.status()).disguise).toEqual(rulesOf(fields));
    expect(few.length).toBeGreaterThan(6);
    for (const bytes of passer.seen) {
      const type = new DataView(bytes.buffer).getUint32(0, true);
      expect(type === 0 || type > 4).toBe(true);
      expect([148, 92]).not.toContain(bytes.length);
    }
  });

  test('carry megabytes in trains', async () => {
    const { backend, port } = await edgeWith(rulesOf(fullFields));
    const client = await clientOf(port, rulesOf(fullFields));

    expect(await client.call('transfer', { to, size: 4_000_000 })).toBe('4000000 bytes, 0 wrong');

    const { drops } = await backend.status();
    expect(drops['bad-tag']).toBe(0);
    // The noise before the handshake, and nothing else.
    expect(drops.undisguised).toBeLessThanOrEqual(2 * Number(fullFields.jc));
  });

  test('are asked by probes in the same disguise, and not answered in another', async () => {
    const disguise = rulesOf(fullFields);
    const { backend, port } = await edgeWith(disguise);
    const place = { address: '127.0.0.1', port };
    const parts = { entropy: systemEntropy(), unixNow: systemClock().unix, now: () => performance.now() };
    const plan = { place, privateKey: secrets[0], edgeKey: publicKeys[1]!, presharedKey: noKey, mark: 0 };
    const keys = { privateKey: secrets[0], publicKey: publicKeys[1]!, presharedKey: noKey };
    const udpParts = { address: '127.0.0.1', mark: 0, clock: systemClock(), entropy: systemEntropy() };

    expect(await probeEdge({ ...plan, disguise, timeoutMs: 10_000 }, parts)).toBeGreaterThan(0);
    expect(await probeEdge({ ...plan, timeoutMs: 300 }, parts)).toBeUndefined();

    const dressed = await UdpProbe.open({ keys: { ...keys, disguise }, ...udpParts });
    const bare = await UdpProbe.open({ keys, ...udpParts });
    expect(await dressed.ask(port, 10_000)).toMatchObject({ answer: 'handshake' });
    expect(await bare.ask(port, 300)).toEqual({ answer: 'silent' });
    const before = (await backend.status()).drops['wrong-length'];
    dressed.sendUseless(port, 1452);
    await expect
      .poll(async () => (await backend.status()).drops['wrong-length'], { timeout: 10_000 })
      .toBe(before + 1);
    dressed.close();
    bare.close();

    const drops = async () => (await backend.status()).drops;
    const question = { host: '127.0.0.1', port, edgeKey: publicKeys[1]!, drops };
    expect(await udpReaches({ ...question, fields: disguiseFields(disguise) })).toBe(true);
    expect(await udpReaches(question)).toBe(false);
  });

  test('do not answer plain WireGuard', async () => {
    const { backend, port } = await edgeWith(rulesOf(fullFields));
    const socket = createSocket('udp4');
    const answers: Uint8Array[] = [];
    socket.on('message', (bytes) => answers.push(bytes));
    const plain = new Uint8Array(148);
    plain[0] = 1;
    for (let n = 0; n < 3; n++) socket.send(plain, port, '127.0.0.1');

    await expect.poll(async () => (await backend.status()).drops.undisguised, { timeout: 10_000 }).toBe(3);

    expect(answers).toEqual([]);
    socket.close();
  });
});
