import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import koffi from 'koffi';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { errno } from '../../shared/node/ffi/errno.ts';
import { ffiAvailable, type Libc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import {
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_USO4,
  TUNSETIFF,
  TUNSETOFFLOAD,
} from '../../shared/node/ffi/structs.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { TunLinux, type TunLinuxOptions } from '../../shared/node/tun/tun-linux.ts';
import { TunMemory } from '../../shared/node/tun/tun-memory.ts';
import { describeWith } from '../support/requires.ts';
import {
  contractMtu,
  outboundPacket,
  peerAddress,
  peerPort,
  systemAddress,
  systemPort,
  type TunSide,
  tunPortContract,
} from './tun-port.ts';

const udpHeaders = 28;

function memorySide(): TunSide {
  const port = new TunMemory('memory0', contractMtu);
  return {
    port,
    systemSends: (payloads) => {
      for (const [i, payload] of payloads.entries()) port.send(outboundPacket(payload, i));
      return Promise.resolve();
    },
    systemReceived: () => Promise.resolve(port.take().map((packet) => packet.slice(udpHeaders))),
    systemSetsMtu: (mtu) => port.changeMtu(mtu),
    systemRemovesInterface: () => port.remove(),
    close: () => Promise.resolve(port.close()),
  };
}

tunPortContract({
  name: 'TunMemory',
  open: () => Promise.resolve(memorySide()),
  memory: new WorkerMemory(8 * 1024 * 1024, undefined),
});

// The tests below run in a network namespace of this process alone: it ends with the process.

let names = 0;

describeWith({ namespaces: true }, 'on Linux', () => {
  const ffi = ffiAvailable();
  if (!ffi.ok) throw new Error(ffi.reason);
  const { libc } = ffi;
  const memory = new WorkerMemory(64 * 1024 * 1024, libc);
  const opened: TunLinux[] = [];

  beforeAll(() => {
    const newNetworkNamespace = 0x4000_0000;
    const unshare = koffi.load(null).func('int unshare(int flags)');
    if (unshare(newNetworkNamespace) !== 0) throw new Error(`unshare: ${koffi.errno()}`);
    ip('link set lo up');
  });

  afterEach(() => {
    for (const tun of opened.splice(0)) tun.close();
  });

  function open(options: Partial<TunLinuxOptions> = {}): TunLinux {
    const name = options.name ?? `cvtest${names++}`;
    const tun = new TunLinux({ libc, memory, log: silentLog, name, mtu: contractMtu, ...options });
    opened.push(tun);
    return tun;
  }

  async function linuxSide(kernel: Libc = libc): Promise<TunSide> {
    const port = open({ libc: kernel });
    ip(`addr add ${systemAddress}/24 dev ${port.name}`);
    ip(`link set ${port.name} up`);
    const socket = createSocket('udp4');
    const received: Uint8Array[] = [];
    socket.on('message', (bytes) => received.push(Uint8Array.from(bytes)));
    socket.on('error', () => {});
    await bindTo(socket);
    return {
      port,
      systemSends: async (payloads) => {
        for (const payload of payloads) await sendOne(socket, payload);
      },
      systemReceived: () => Promise.resolve(received.splice(0)),
      systemSetsMtu: (mtu) => ip(`link set ${port.name} mtu ${mtu}`),
      systemRemovesInterface: () => ip(`link del ${port.name}`),
      close: async () => {
        port.close();
        socket.close();
        await once(socket, 'close');
      },
    };
  }

  /** A kernel that refuses some requests with EINVAL. */
  function refusing(refuses: (request: number, argument: number) => boolean): Libc {
    let refused = false;
    return {
      ...libc,
      ioctl: (fd, request, argument) => {
        refused = refuses(request, argument);
        return refused ? -1 : libc.ioctl(fd, request, argument);
      },
      errno: () => (refused ? errno.EINVAL : libc.errno()),
    };
  }
  const vnetAsked = (at: number): boolean =>
    (memory.view.getUint16(at - memory.base + 16, true) & IFF_VNET_HDR) !== 0;
  const lesser = {
    linux: refusing((request, argument) => request === TUNSETIFF && vnetAsked(argument)),
    'linux vnet': refusing((request, argument) => request === TUNSETOFFLOAD && (argument & TUN_F_CSUM) !== 0),
    'linux tso': refusing((request, argument) => request === TUNSETOFFLOAD && (argument & TUN_F_USO4) !== 0),
  };

  tunPortContract({ name: 'TunLinux', open: linuxSide, memory });
  for (const [description, kernel] of Object.entries(lesser)) {
    tunPortContract({
      name: `TunLinux where the kernel only allows '${description}'`,
      open: () => linuxSide(kernel),
      memory,
    });
    test(`'${description}' is what the port calls itself there`, () => {
      expect(open({ libc: kernel }).description).toBe(description);
    });
  }

  test('offloads are on and named', () => {
    expect(open().description).toMatch(/^linux tso( uso)?$/);
  });

  test('a name that is in use is refused', () => {
    const tun = open();

    expect(() => open({ name: tun.name })).toThrow(expect.objectContaining({ code: 'interface-exists' }));
  });

  test.each(['', 'sixteen-letters-', 'a/b', 'a b', '.', '..', 'x%d'])('the name %j is refused', (name) => {
    expect(() => open({ name })).toThrow(expect.objectContaining({ code: 'bad-interface-name' }));
  });

  test('an MTU that the system refuses is an error and leaves no interface', () => {
    const name = 'cvmtu';

    expect(() => open({ name, mtu: 70_000 })).toThrow(expect.objectContaining({ code: 'bad-config' }));
    expect(ip('-br link')).not.toContain(name);
  });

  test('up and down are seen', () => {
    const tun = open();
    expect(tun.isUp()).toBe(false);

    ip(`link set ${tun.name} up`);

    expect(tun.isUp()).toBe(true);
    expect(tun.interfaceIndex).toBe(Number(ip(`-o link show ${tun.name}`).split(':')[0]));
  });

  test('the interface goes with the port unless it shall persist', () => {
    const fleeting = open();
    const lasting = open({ persist: true });
    fleeting.close();
    lasting.close();

    const links = ip('-br link');
    ip(`link del ${lasting.name}`);

    expect(links).toContain(lasting.name);
    expect(links).not.toContain(fleeting.name);
  });

  test('the queue is its longest before anything is sent, so that small packets never have it changed', () => {
    const tun = open();

    expect(ip(`-o link show ${tun.name}`)).toContain('qlen 1000');
  });

  test('a queue that somebody chose for a lasting interface stays', () => {
    const first = open({ persist: true });
    ip(`link set ${first.name} txqueuelen 200`);
    first.close();

    const again = open({ name: first.name });
    const shown = ip(`-o link show ${again.name}`);
    again.close();
    ip(`link del ${first.name}`);

    expect(shown).toContain('qlen 200');
  });

  test('a renamed interface keeps working under its new name', () => {
    const tun = open();
    ip(`link set ${tun.name} name cvrenamed`);

    expect(tun.refreshMtu()).toBe(true);

    expect(tun.name).toBe('cvrenamed');
  });

  for (const family of [4, 6] as const) {
    test(`TCP over IPv${family} between two interfaces arrives byte for byte, in super-packets`, async () => {
      const sides = [open(), open()] as const;
      const other = family === 4 ? '10.78.0.2' : 'fd78::2';
      const far = `cvfar${process.pid}-${family}`;
      ip(`netns add ${far}`);
      try {
        ip(`link set ${sides[1].name} netns ${far}`);
        const prefix = family === 4 ? '10.78.0.' : 'fd78::';
        const bits = family === 4 ? 24 : 64;
        const nodad = family === 4 ? '' : ' nodad';
        ip(`addr add ${prefix}1/${bits} dev ${sides[0].name}${nodad}`);
        ip(`link set ${sides[0].name} up`);
        ip(`-n ${far} addr add ${prefix}2/${bits} dev ${sides[1].name}${nodad}`);
        ip(`-n ${far} link set ${sides[1].name} up`);
        const bytes = randomLooking(24 * 1024 * 1024);

        const result = await echoThrough(sides, memory, { far, other, bytes });

        expect(result.hash).toBe(createHash('sha256').update(bytes).digest('hex'));
        expect(result.drops).toBe(0);
        expect(result.packetsPerRead).toBeGreaterThan(5);
      } finally {
        ip(`netns del ${far}`);
      }
    });
  }
});

/** Runs `ip` in the namespace of this process. */
function ip(args: string): string {
  return execFileSync('ip', args.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function bindTo(socket: Socket): Promise<void> {
  socket.bind(systemPort, systemAddress);
  await once(socket, 'listening');
  socket.setRecvBufferSize(4 * 1024 * 1024);
}

function sendOne(socket: Socket, payload: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(payload, peerPort, peerAddress, (error) => (error === null ? resolve() : reject(error)));
  });
}

function randomLooking(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = 12_345;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

interface EchoPlan {
  readonly far: string;
  readonly other: string;
  readonly bytes: Uint8Array;
}

interface EchoResult {
  /** Of what came back. */
  readonly hash: string;
  readonly drops: number;
  readonly packetsPerRead: number;
}

const echoServer = `
  const server = require('node:net').createServer((socket) => socket.pipe(socket));
  server.listen(7777, '::', () => process.stdout.write('ready'));
`;

/** Sends bytes by TCP to an echo server in another namespace; the two interfaces are joined by their ports alone. */
async function echoThrough(
  sides: readonly [TunLinux, TunLinux],
  memory: WorkerMemory,
  plan: EchoPlan,
): Promise<EchoResult> {
  const arenaBytes = 640 * 1024;
  const arenaStart = memory.alloc(arenaBytes, 64);
  const arenaEnd = arenaStart + arenaBytes;
  const batch = new PacketBatch({
    bytes: memory.bytes,
    arenaStart,
    arenaEnd,
    capacity: 1024,
    addressCapacity: 1,
  });
  const server = spawn('ip', ['netns', 'exec', plan.far, process.execPath, '-e', echoServer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(server.stdout, 'data');
    const client = connect(7777, plan.other);
    const hash = createHash('sha256');
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      received += chunk.length;
    });
    client.end(plan.bytes);
    let packets = 0;
    let reads = 0;
    let drops = 0;
    while (received < plan.bytes.length && !client.errored) {
      for (const [from, to] of [sides, sides.toReversed()] as [TunLinux, TunLinux][]) {
        batch.clear();
        const count = from.readBatch(batch);
        if (count <= 0) continue;
        packets += count;
        reads++;
        drops += to.writeBatch(batch);
      }
      await nextTurn();
    }
    client.destroy();
    return { hash: hash.digest('hex'), drops, packetsPerRead: packets / reads };
  } finally {
    server.kill('SIGKILL');
  }
}
