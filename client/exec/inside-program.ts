/**
 * Runs inside the new namespaces, already with the pid of the command: makes the interface, hands it to the
 * network process, covers the host's resolvers, gives up every right, becomes the command.
 * Usage: inside-program.ts SETTINGS COMMAND…   started by launch.ts, never by people.
 */

import { closeSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { errnoName } from '../../shared/node/ffi/errno.ts';
import { type Libc, requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import { type ProcessCalls, processCalls } from '../../shared/node/ffi/process-calls.ts';
import * as abi from '../../shared/node/ffi/structs.ts';
import { openDevice, setInterfaceMtu } from '../../shared/node/tun/tun-linux-device.ts';
import { become, dropLent } from './become.ts';
import { sendDescriptors } from './handover.ts';
import { InterfaceSetup } from './interface.ts';
import { coverNames } from './mounts.ts';
import {
  type CarrierAnswer,
  type InsideSettings,
  type InterfaceFacts,
  insideInterface,
  maxMessageBytes,
  resolverAddress,
} from './settings.ts';

const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const SOCK_STREAM = 1;
const loopback = Uint8Array.of(127, 0, 0, 1);
const backlog = 128;
const exitFailure = 1;

/** Makes the interface. Its descriptor goes away when this process becomes the command. */
function makeInterface(settings: InsideSettings, calls: ProcessCalls): void {
  const libc = requireLibc();
  const memory = new WorkerMemory(1, libc);
  const context = { libc, memory, scratch: memory.alloc(abi.ifreq.size) };
  const device = openDevice(context, insideInterface);
  const socket = libc.socket(abi.AF_INET, abi.SOCK_DGRAM | abi.SOCK_CLOEXEC, 0);
  setInterfaceMtu(context, socket, insideInterface, settings.mtu);
  libc.close(socket);
  const setup = new InterfaceSetup(libc, memory);
  setup.loopbackUp();
  setup.configure(insideInterface, settings.addresses);
  const facts: InterfaceFacts = { offload: device.offload, netns: readlinkSync('/proc/self/ns/net') };
  const door = openDoor({ libc, memory, calls }, settings.proxyPort);
  sendDescriptors(settings.socket, [device.fd, door], JSON.stringify(facts));
}

interface Native {
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly calls: ProcessCalls;
}

/** A socket that listens on the program's own loopback, where the host has its proxy. */
function openDoor({ libc, memory, calls }: Native, port: number): number {
  const at = memory.alloc(abi.sockaddrIn.size);
  memory.view.setUint16(at + abi.sockaddrIn.family, abi.AF_INET, true);
  memory.view.setUint16(at + abi.sockaddrIn.port, port);
  memory.bytes.set(loopback, at + abi.sockaddrIn.address);
  const socket = libc.socket(abi.AF_INET, SOCK_STREAM | abi.SOCK_CLOEXEC, 0);
  const isOpen =
    libc.bind(socket, memory.base + at, abi.sockaddrIn.size) === 0 && calls.listen(socket, backlog) === 0;
  if (isOpen) return socket;
  throw new CulvertError('exec-failed', {
    text: `The proxy cannot be shown to the program (${errnoName(libc.errno())}).`,
  });
}

/** The network must stand before the command makes its first connection. */
function awaitCarrier(socket: number): void {
  const bytes = Buffer.alloc(maxMessageBytes);
  const size = readSync(socket, bytes);
  const answer =
    size === 0 ? undefined : (JSON.parse(bytes.subarray(0, size).toString('utf8')) as CarrierAnswer);
  if (answer?.ready === true) return;
  throw new CulvertError('exec-failed', {
    text: `The program's network did not start: ${answer?.text ?? 'it ended at once'}.`,
  });
}

/** The rights were over this network and these mounts only, but nobody needs them any more. */
function dropRights(calls: ProcessCalls): void {
  const dropped =
    calls.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) === 0 && calls.dropCapabilities() === 0;
  if (!dropped)
    throw new CulvertError('exec-failed', { text: 'Rights over the network cannot be given up.' });
}

const [text = '{}', ...command] = process.argv.slice(2);
try {
  const settings = JSON.parse(text) as InsideSettings;
  const calls = processCalls();
  if (calls === undefined) throw new CulvertError('ffi-unavailable');
  makeInterface(settings, calls);
  coverNames(calls, resolverAddress);
  awaitCarrier(settings.socket);
  closeSync(settings.socket);
  if (settings.ownUser) dropRights(calls);
  dropLent();
  become(command);
} catch (error) {
  const problem =
    error instanceof CulvertError ? error : new CulvertError('internal', { text: String(error) });
  writeSync(2, `culvert: ${problem.message} [${problem.code}]\n${problem.remedy}\n`);
  process.exit(exitFailure);
}
