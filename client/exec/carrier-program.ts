/**
 * The network process of one `culvert exec`: takes the interface of the program's network, ends its packets
 * in a userspace stack and carries the connections to the local proxy. Composition root; started by launch.ts
 * with a socket as descriptor 3, never by people. Says nothing anywhere: it has no standard streams.
 */

import { closeSync, readSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { NetStack } from '../../shared/core/netstack/stack.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { FdWatch } from '../../shared/node/dataplane/fd-watch.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import { loadNative } from '../../shared/node/ffi/native.ts';
import { processCalls } from '../../shared/node/ffi/process-calls.ts';
import { splice } from '../../shared/node/flows/splice.ts';
import { FlowHost } from '../../shared/node/flows/stack-host.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { recommendedTunRead, TunLinux } from '../../shared/node/tun/tun-linux.ts';
import { TunNetstack } from '../../shared/node/tun/tun-netstack.ts';
import { FlowRelay } from './flow-relay.ts';
import { receiveDescriptors } from './handover.ts';
import { InterfacePump } from './interface-pump.ts';
import { outlive } from './lifetime.ts';
import {
  type CarrierAnswer,
  type CarrierSettings,
  type InterfaceFacts,
  insideInterface,
  maxMessageBytes,
  type ProxyDoor,
  resolverAddress,
} from './settings.ts';
import { SocksDialer } from './socks-dialer.ts';

const socket = 3;
const memoryBytes = 8 * 1024 * 1024;
const maxProxied = 4096;
const stackArena = 1024 * 1024;
const stackCapacity = 1024;
/** All of the program's connections come from one address. */
const limits = {
  connectionsPerSource: 8192,
  halfOpenPerSource: 1024,
  udpFlowsPerSource: 1024,
  udpFlows: 1024,
};

interface Arrival {
  readonly settings: CarrierSettings;
  readonly facts: InterfaceFacts;
  readonly device: number;
  readonly door: number;
}

/** The two messages that begin everything; undefined where the program gave up before. Blocks. */
function arrive(): Arrival | undefined {
  const bytes = Buffer.alloc(maxMessageBytes);
  const size = readSync(socket, bytes);
  const received = size === 0 ? undefined : receiveDescriptors(socket);
  const [device, door] = received?.fds ?? [];
  if (received === undefined || device === undefined || door === undefined) return undefined;
  const settings = JSON.parse(bytes.subarray(0, size).toString('utf8')) as CarrierSettings;
  return { settings, facts: JSON.parse(received.text) as InterfaceFacts, device, door };
}

function carry({ settings, facts, device, door }: Arrival): void {
  const calls = processCalls();
  const native = loadNative();
  if (calls === undefined || !native.ok) throw new Error('native calls do not work');
  const clock = systemClock();
  const memory = new WorkerMemory(memoryBytes, requireLibc());
  const system = new TunLinux({
    libc: requireLibc(),
    memory,
    log: silentLog,
    name: insideInterface,
    mtu: settings.mtu,
    device: { fd: device, offload: facts.offload },
    writeCapacity: stackCapacity,
  });
  const addresses = [parseAddress(resolverAddress) ?? new Uint8Array(4)];
  const stack = new NetStack({
    entropy: systemEntropy(),
    addresses,
    mtu: settings.mtu,
    acceptAny: true,
    limits,
  });
  const host: FlowHost = new FlowHost({ stack, addresses, wake: () => tun.wake() });
  const tun = new TunNetstack({
    stack,
    clock,
    mtu: settings.mtu,
    replies: batchIn(memory, stackArena, stackCapacity),
    onEvents: (events) => host.handleEvents(events),
  });
  const dialer = new SocksDialer(settings.proxy);
  new FlowRelay({ stack: host, dialer, resolvers: settings.resolvers, now: () => clock.now() }).start();
  const end = (): void => process.exit(0);
  new InterfacePump({
    system,
    stack: tun,
    watch: new FdWatch(native.native),
    clock,
    fromSystem: batchIn(memory, recommendedTunRead.arenaBytes, recommendedTunRead.capacity),
    fromStack: batchIn(memory, stackArena, stackCapacity),
    onGone: end,
  }).start();
  showProxy(door, settings.proxy);
  const program = calls.pidfdOpen(settings.pid);
  if (program < 0) return end();
  const watcher = native.native.watch(program, () => {
    watcher.close();
    outlive({ connections: () => stack.usage.connections, netns: facts.netns, onEnd: end });
  });
}

/** The host's proxy on the program's own loopback: bytes both ways, nothing is looked at. */
function showProxy(door: number, { host, port }: ProxyDoor): void {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host, port, allowHalfOpen: true, noDelay: true });
    for (const end of [near, far]) end.on('error', () => {}); // Told to the other end by closing.
    splice(near, far);
  });
  server.maxConnections = maxProxied;
  server.listen({ fd: door });
}

function batchIn(memory: WorkerMemory, arenaBytes: number, capacity: number): PacketBatch {
  const arenaStart = memory.alloc(arenaBytes, 64);
  const arenaEnd = arenaStart + arenaBytes;
  return new PacketBatch({ bytes: memory.bytes, arenaStart, arenaEnd, capacity, addressCapacity: 1 });
}

function answer(message: CarrierAnswer): void {
  try {
    writeSync(socket, JSON.stringify(message));
  } catch {
    // The program is gone already.
  }
}

try {
  const arrival = arrive();
  if (arrival === undefined) process.exit(0);
  carry(arrival);
  answer({ ready: true });
  closeSync(socket);
} catch (error) {
  answer({ ready: false, text: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}
