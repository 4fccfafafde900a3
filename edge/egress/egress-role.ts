/** What an edge without privileges does in its flow worker: the gateway's services, and the way out. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { FlowParts, FlowRole, StackHost } from '../../shared/node/flows/contract.ts';
import { Forwarder, type ForwarderLimits } from '../../shared/node/flows/forwarder.ts';
import { rehearseQuietly } from '../../shared/node/flows/quiet-rehearsal.ts';
import type { Family } from '../../shared/node/resolver/well-known.ts';
import type { EgressCounts } from '../admin/status.ts';
import { type DnsCounts, dnsCounts } from '../dns/counts.ts';
import { DeviceFamilies } from '../dns/device-families.ts';
import { exitAddresses } from '../gateway/exit-address.ts';
import { datagramHeaders, Gateway } from '../gateway/gateway.ts';
import { openAnswerer } from '../gateway/open-answerer.ts';
import { serveInStack } from '../gateway/stack-gateway.ts';
import { carriedBy } from '../transport/carried-by.ts';
import { DeviceTurn } from './device-turn.ts';
import type { DeviceDelta, DeviceEntry } from './devices.ts';
import { askPing, type PingVerdict } from './echo-socket.ts';
import { EgressPaths } from './egress-paths.ts';
import { HostNames } from './host-name.ts';
import { lookUp } from './look-up.ts';
import { namingAnswerer, tellNames } from './naming-answerer.ts';
import { flowLimit } from './open-files.ts';
import { OwnAddresses } from './own-addresses.ts';
import { answerPaths, type NameSurroundings, type PathsQuestion } from './paths-question.ts';
import { openEgressRehearsal } from './rehearsal.ts';
import type { DevicePaths } from './select.ts';
import type { EgressRules, EgressSettings } from './settings.ts';
import { WayOut } from './way-out.ts';

export function makeEgressRole(parts: FlowParts): FlowRole {
  const { stack, log, clock, entropy } = parts;
  const settings = parts.settings as EgressSettings;
  const maxFlows = flowLimit();
  tellPing(log);
  const own = new OwnAddresses(() => clock.now(), settings.ownAddresses);
  const paths = new EgressPaths({
    config: { ...settings.ways, rules: settings.rules.rules },
    clock,
    entropy,
    log,
  });
  const turn = new DeviceTurn(settings.rules);
  parts.turn((bytes, offset, length, now) => turn.judge(bytes, offset, length, now));
  const names = new HostNames();
  const wayOut = new WayOut({
    rules: settings.rules,
    isOwnAddress: (address) => own.has(address),
    connectionsPerDevice: settings.connectionsPerDevice,
    now: () => clock.now(),
    maxFlows,
    ways: paths.chooser,
    nameOf: (device, address) => names.find(device, address, clock.now()),
    onNamed: (device, address, known) => names.noteSaid(device, address, known, clock.now()),
  });
  const families = new DeviceFamilies(settings.rules.devices);
  const { dns, gateways } = settings;
  const familyOf = (device: string): Family | undefined => families.familyOf(device);
  const resolver = openAnswerer({ dns, gateways, familyOf, clock, entropy, log });
  const answerer = namingAnswerer(resolver, names, () => clock.now());
  const gateway = new Gateway({
    edgeName: () => wayOut.edgeName,
    deviceOf: (address) => nameOf(address, wayOut),
    pathOf: (device) => paths.usualPath(device),
    carriedBy: carriedBy(parts.deviceStatus, () => clock.now()),
    exitOf: exitAddresses({
      paths: settings.ways.paths,
      endpoint: settings.endpoint,
      now: () => clock.now(),
    }),
    answerer,
    maxDatagram: settings.mtu - datagramHeaders,
    unixNow: () => clock.unix(),
    apiSocket: settings.apiSocket,
    log,
  });
  serveInStack(stack, gateway);
  const limits = forwarderLimits(maxFlows, settings.connectionsPerDevice);
  const forwarder = new Forwarder({ stack, dialer: wayOut, clock, limits });
  const surroundings: NameSurroundings = {
    explain: (device, address) => names.explain(device, address, clock.now()),
    lookUp: (host, device) => lookUp(answerer, host, device),
    tell: (device, told) => tellNames(names, device, told, clock.now()),
  };
  return new EgressRole({
    ...rehearsing(parts),
    dns: () => dnsCounts(resolver.state()),
    turn,
    stack,
    wayOut,
    gateway,
    forwarder,
    paths,
    names,
    families,
    surroundings,
    devices: settings.rules.devices,
  });
}

/** While nobody is connected, nor asks anything. */
function rehearsing(parts: FlowParts): Pick<RoleParts, 'noteCall' | 'endRehearsal'> {
  const { udp, stack, clock, entropy, log } = parts;
  let calledAt = clock.now();
  return {
    noteCall: () => {
      calledAt = clock.now();
    },
    endRehearsal: rehearseQuietly({
      open: () => openEgressRehearsal({ udp, clock, entropy, log }),
      isBusy: () => stack.usage.connections > 0 || clock.now() - calledAt < quietMs,
      log,
    }),
  };
}

function forwarderLimits(all: number, ofDevice: number): Partial<ForwarderLimits> {
  return { connections: all, connectionsPerSource: ofDevice, flows: all, flowsPerSource: ofDevice };
}

/** Devices by the thousand come in quick succession when an edge starts. */
const quietMs = 400;

interface RoleParts {
  readonly noteCall: () => void;
  readonly endRehearsal: () => Promise<void>;
  readonly stack: StackHost;
  readonly wayOut: WayOut;
  readonly dns: () => DnsCounts;
  readonly turn: DeviceTurn;
  readonly gateway: Gateway;
  readonly forwarder: Forwarder;
  readonly paths: EgressPaths;
  readonly names: HostNames;
  readonly families: DeviceFamilies;
  readonly surroundings: NameSurroundings;
  /** Until the first change. */
  readonly devices: readonly DeviceEntry[];
}

class EgressRole implements FlowRole {
  readonly #parts: RoleParts;
  /** By their keys. */
  readonly #devices = new Map<string, DeviceEntry>();
  /** By their names, those for whom there is something to know; the paths look here themselves. */
  readonly #pins = new Map<string, DevicePaths>();

  constructor(parts: RoleParts) {
    this.#parts = parts;
    parts.paths.setDevices(this.#pins);
    this.#know({ set: parts.devices, gone: [] });
  }

  call(name: string, argument: unknown): unknown {
    this.#parts.noteCall();
    switch (name) {
      case 'counts':
        return this.#counts();
      case 'reload':
        // What a device that is gone still had in the stack, the gateway's services included.
        this.#reload(argument as EgressRules);
        return undefined;
      case 'devices':
        this.#follow(argument as DeviceDelta);
        return undefined;
      case 'paths':
        return answerPaths(argument as PathsQuestion, this.#parts.paths, this.#parts.surroundings);
      default:
        throw new CulvertError('internal', { text: `The flow worker knows no call named ${name}.` });
    }
  }

  async close(): Promise<void> {
    await this.#parts.endRehearsal();
    this.#parts.forwarder.close();
    this.#parts.wayOut.close();
    this.#parts.paths.close();
    await this.#parts.gateway.close();
  }

  #reload(rules: EgressRules): void {
    const { stack, wayOut, paths, turn } = this.#parts;
    paths.setRules(rules.rules);
    const kept = new Set(rules.devices.map(({ key }) => key));
    this.#know({ set: rules.devices, gone: [...this.#devices.keys()].filter((key) => !kept.has(key)) });
    turn.reload(rules);
    stack.cut(wayOut.reload(rules));
  }

  /** As a device enrols or goes, which may be many times a second: costs what has changed, not what is there. */
  #follow(delta: DeviceDelta): void {
    const { stack, wayOut, turn } = this.#parts;
    this.#know(delta);
    turn.follow(delta);
    stack.cut(wayOut.follow(delta));
  }

  #know({ set, gone }: DeviceDelta): void {
    const { names, families } = this.#parts;
    const before = [...gone, ...set.map(({ key }) => key)].flatMap((key) => this.#devices.get(key) ?? []);
    for (const key of gone) this.#devices.delete(key);
    for (const device of set) this.#devices.set(device.key, device);
    for (const { name } of before) this.#pins.delete(name);
    for (const device of set) {
      const pin = pinOf(device);
      if (pin !== undefined) this.#pins.set(device.name, pin);
    }
    const kept = new Set(set.map(({ name }) => name));
    for (const { name } of before) if (!kept.has(name)) names.forget(name);
    if ([...before, ...set].some((device) => device.families !== undefined)) {
      families.set([...this.#devices.values()]);
    }
  }

  #counts(): EgressCounts {
    const { stack, wayOut, forwarder, paths } = this.#parts;
    const { connections, udpFlows, echoFlows, memoryBytes } = stack.usage;
    // Each address of a device has the device's whole share at the forwarder, which counts for itself.
    const share = wayOut.refused.share + forwarder.counts.overLimit;
    return {
      connections,
      udpFlows,
      echoFlows,
      ping: pingOf(askPing()),
      memoryBytes,
      refused: { ...wayOut.refused, share },
      paths: paths.status(),
      dns: this.#parts.dns(),
    };
  }
}

/** Where it does not work, with what to do. */
function tellPing(log: Log): void {
  const ping = askPing();
  if (ping.isAllowed) return;
  log.info('devices cannot ping beyond this edge', { why: ping.why, remedy: ping.remedy });
}

function pingOf(verdict: PingVerdict): NonNullable<EgressCounts['ping']> {
  return verdict.isAllowed
    ? { allowed: true, why: null, remedy: null }
    : { allowed: false, why: verdict.why, remedy: verdict.remedy };
}

function pinOf({ path, granted, tags = [] }: DeviceEntry): DevicePaths | undefined {
  return path === undefined && tags.length === 0 ? undefined : { pin: path, granted, tags };
}

function nameOf(address: string, wayOut: WayOut): string | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : wayOut.deviceAt(bytes)?.name;
}
