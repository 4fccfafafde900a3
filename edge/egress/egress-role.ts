/** What an edge without privileges does in its flow worker: the gateway's services, and the way out. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { FlowParts, FlowRole, StackHost } from '../../shared/node/flows/contract.ts';
import { Forwarder } from '../../shared/node/flows/forwarder.ts';
import type { EgressCounts } from '../admin/status.ts';
import { datagramHeaders, Gateway } from '../gateway/gateway.ts';
import { openAnswerer } from '../gateway/open-answerer.ts';
import { serveInStack } from '../gateway/stack-gateway.ts';
import { changed, type DeviceDelta } from './devices.ts';
import { EgressPaths } from './egress-paths.ts';
import { HostNames } from './host-name.ts';
import { namingAnswerer } from './naming-answerer.ts';
import { flowLimit } from './open-files.ts';
import { OwnAddresses } from './own-addresses.ts';
import { answerPaths, type PathsQuestion } from './paths-question.ts';
import type { DevicePaths } from './select.ts';
import type { EgressRules, EgressSettings } from './settings.ts';
import { WayOut } from './way-out.ts';

export function makeEgressRole(parts: FlowParts): FlowRole {
  const { stack, log, clock, entropy } = parts;
  const settings = parts.settings as EgressSettings;
  const maxFlows = flowLimit();
  const own = new OwnAddresses(() => clock.now(), settings.ownAddresses);
  const paths = new EgressPaths({
    config: { ...settings.ways, rules: settings.rules.rules },
    clock,
    entropy,
    log,
  });
  paths.setDevices(pinsOf(settings.rules));
  const names = new HostNames();
  const wayOut = new WayOut({
    rules: settings.rules,
    isOwnAddress: (address) => own.has(address),
    connectionsPerDevice: settings.connectionsPerDevice,
    maxFlows,
    ways: paths.chooser,
    nameOf: (device, address) => names.find(device, address, clock.now()),
  });
  const answerer = openAnswerer({ dns: settings.dns, gateways: settings.gateways, clock, entropy, log });
  const gateway = new Gateway({
    edgeName: () => wayOut.edgeName,
    deviceOf: (address) => nameOf(address, wayOut),
    pathOf: (device) => paths.usualPath(device),
    answerer: namingAnswerer(answerer, names, () => clock.now()),
    maxDatagram: settings.mtu - datagramHeaders,
    unixNow: () => clock.unix(),
    apiSocket: settings.apiSocket,
    log,
  });
  serveInStack(stack, gateway);
  const forwarder = new Forwarder({
    stack,
    dialer: wayOut,
    clock,
    limits: {
      connections: maxFlows,
      connectionsPerSource: settings.connectionsPerDevice,
      flows: maxFlows,
      flowsPerSource: settings.connectionsPerDevice,
    },
  });
  return new EgressRole({ stack, wayOut, gateway, forwarder, paths, rules: settings.rules });
}

interface RoleParts {
  readonly stack: StackHost;
  readonly wayOut: WayOut;
  readonly gateway: Gateway;
  readonly forwarder: Forwarder;
  readonly paths: EgressPaths;
  /** Until the first reload. */
  readonly rules: EgressRules;
}

class EgressRole implements FlowRole {
  readonly #parts: RoleParts;
  #rules: EgressRules;

  constructor(parts: RoleParts) {
    this.#parts = parts;
    this.#rules = parts.rules;
  }

  call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'counts':
        return this.#counts();
      case 'reload':
        // What a device that is gone still had in the stack, the gateway's services included.
        this.#reload(argument as EgressRules);
        return undefined;
      case 'devices':
        this.#reload({ ...this.#rules, devices: changed(this.#rules.devices, argument as DeviceDelta) });
        return undefined;
      case 'paths':
        return answerPaths(argument as PathsQuestion, this.#parts.paths);
      default:
        throw new CulvertError('internal', { text: `The flow worker knows no call named ${name}.` });
    }
  }

  async close(): Promise<void> {
    this.#parts.forwarder.close();
    this.#parts.wayOut.close();
    this.#parts.paths.close();
    await this.#parts.gateway.close();
  }

  #reload(rules: EgressRules): void {
    const { stack, wayOut, paths } = this.#parts;
    this.#rules = rules;
    paths.setRules(rules.rules);
    paths.setDevices(pinsOf(rules));
    stack.cut(wayOut.reload(rules));
  }

  #counts(): EgressCounts {
    const { stack, wayOut, forwarder, paths } = this.#parts;
    const { connections, udpFlows, memoryBytes } = stack.usage;
    // Each address of a device has the device's whole share at the forwarder, which counts for itself.
    const share = wayOut.refused.share + forwarder.counts.overLimit;
    return {
      connections,
      udpFlows,
      memoryBytes,
      refused: { ...wayOut.refused, share },
      paths: paths.status(),
    };
  }
}

function pinsOf(rules: EgressRules): ReadonlyMap<string, DevicePaths> {
  return new Map(
    rules.devices.flatMap(({ name, path, granted }) =>
      path === undefined ? [] : [[name, { pin: path, granted }] as const],
    ),
  );
}

function nameOf(address: string, wayOut: WayOut): string | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : wayOut.deviceAt(bytes)?.name;
}
