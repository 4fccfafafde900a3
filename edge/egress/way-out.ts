/**
 * The way out of a rootless edge: asks the policy about each flow's very destination, holds every device to its
 * share, dials by sockets of the system, and can end flows again when rules change. Remembers no destination
 * longer than its flow; logs none.
 */

import type { Duplex } from 'node:stream';
import { prefixContains } from '../../shared/core/base/ip.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { FlowEnd, Refusal } from '../../shared/core/netstack/events.ts';
import type {
  FarRefusal,
  FarRequest,
  FarTcpRequest,
  FarUdp,
  FlowDialer,
} from '../../shared/node/flows/contract.ts';
import type { FirstBytesWish } from '../../shared/node/flows/first-bytes.ts';
import { breakOff } from '../../shared/node/flows/splice.ts';
import type { Opening } from '../config-egress.ts';
import { FlowBlocked, type FlowRequest } from './choose-flow.ts';
import { ConnectionRates } from './connection-rates.ts';
import { DenyPolicy, type Target, type Verdict } from './deny.ts';
import { type DeviceDelta, type DeviceEntry, DeviceMap } from './devices.ts';
import { maxFirstBytes, readFirstBytes } from './first-bytes.ts';
import { firstBytesWaitMs, flowName } from './flow-name.ts';
import { PathError } from './path.ts';
import { refusalOf } from './refusal.ts';
import type { EgressRule, KnownName } from './rules.ts';
import type { EgressRules } from './settings.ts';

export interface WayOutOptions {
  readonly rules: EgressRules;
  readonly isOwnAddress: (address: Uint8Array) => boolean;
  readonly connectionsPerDevice: number;
  /** For the limit of new connections in the rules. */
  readonly now: () => MonoMs;
  /** Sockets of all devices together. */
  readonly maxFlows: number;
  /** Where flows go that may leave. */
  readonly ways: Ways;
  /** The name that the device knows the address by. */
  readonly nameOf?: (device: string, address: Uint8Array) => KnownName | undefined;
  /** A connection has told its name itself. */
  readonly onNamed?: (device: string, address: Uint8Array, name: KnownName) => void;
}

/** The choice among paths; PathChooser is one. */
export interface Ways {
  /** Whether the name of the place could make another choice. Absent: never. */
  dependsOnName?(request: FlowRequest): boolean;
  dialTcp(request: FlowRequest, signal: AbortSignal): Promise<Duplex>;
  openUdp(request: FlowRequest): Promise<FarUdp>;
  /** A series of echo requests. */
  openEcho(request: FlowRequest): Promise<FarUdp>;
}

/** Why a flow did not come about, and what its asker is told. */
export class FlowRefused extends Error implements FarRefusal {
  readonly refusal: Refusal;
  /** By whoever runs the edge, not by the network. */
  readonly isForbidden: boolean;

  constructor(refusal: Refusal, sentence: string, isForbidden = true) {
    super(sentence);
    this.refusal = refusal;
    this.isForbidden = isForbidden;
  }
}

/** Why flows were refused, counted since the start. */
export type RefusalCounts = Record<
  Exclude<Verdict, 'open'> | 'stranger' | 'rate' | 'share' | 'rule' | 'failed',
  number
>;

/** A flow from its first packet on: dialling, or open. */
interface Flow {
  readonly source: Uint8Array;
  readonly device: DeviceEntry;
  readonly target: Target;
  /** Only a rule that names the range may let it out. */
  readonly isClosed: boolean;
  cut(): void;
}

export class WayOut implements FlowDialer {
  readonly refused: RefusalCounts = {
    private: 0,
    reserved: 0,
    metadata: 0,
    own: 0,
    device: 0,
    mail: 0,
    stranger: 0,
    rate: 0,
    share: 0,
    rule: 0,
    failed: 0,
  };
  readonly #options: WayOutOptions;
  #edgeName: string;
  #devices: DeviceMap;
  #policy: DenyPolicy;
  /** The same, with what rules name. */
  #policyOfRules: DenyPolicy;
  readonly #flows: Set<Flow> = new Set();
  readonly #rates: ConnectionRates;
  /** Flows by protocol and device, whose addresses all count together. */
  readonly #shares: Map<string, number> = new Map();

  constructor(options: WayOutOptions) {
    this.#options = options;
    this.#edgeName = options.rules.edgeName;
    this.#devices = new DeviceMap(options.rules.devices);
    this.#policy = new DenyPolicy(options.rules, options.isOwnAddress);
    this.#policyOfRules = new DenyPolicy(withRules(options.rules), options.isOwnAddress);
    this.#rates = new ConnectionRates(options.now);
    this.#rates.limit(options.rules.connectionsPerSecond);
  }

  /** Flows that are open or being opened. */
  get flows(): number {
    return this.#flows.size;
  }

  /** Where a rule for hosts could decide, and the name is not known for sure, the connection itself is asked. */
  firstBytes({ source, destination }: FarRequest): FirstBytesWish | undefined {
    const device = this.#devices.find(source.address);
    if (device === undefined) return undefined;
    const name = this.#options.nameOf?.(device.name, destination.address);
    const waitMs = firstBytesWaitMs(destination.port, name);
    const request = { device: device.name, source, destination, name };
    if (waitMs === undefined || this.#options.ways.dependsOnName?.(request) !== true) return undefined;
    // Where nothing may go in any case the refusal comes before the connection.
    const target: Target = { protocol: 'tcp', ...destination };
    if (this.#policyOfRules.judge(target, device.name) !== 'open') return undefined;
    const isEnough = (bytes: Uint8Array): boolean => readFirstBytes(bytes).kind !== 'more';
    return { maxBytes: maxFirstBytes, waitMs, isEnough };
  }

  /** Rejects with FlowRefused, or with the signal's reason. */
  async dialTcp(request: FarTcpRequest): Promise<Duplex> {
    const { source, destination, signal, giveUp } = request;
    const flow = this.#admit(source, { protocol: 'tcp', ...destination }, () =>
      giveUp(new FlowRefused('reset', 'The rules of the edge have changed.')),
    );
    try {
      const stream = await this.#options.ways.dialTcp(
        this.#requestOf(flow, source, destination, request.firstBytes),
        signal,
      );
      flow.cut = (): void => breakOff(stream);
      stream.once('close', () => this.#release(flow));
      return stream;
    } catch (cause) {
      this.#release(flow);
      throw this.#explain(cause, signal);
    }
  }

  /** Rejects with FlowRefused. */
  openUdp(request: FarRequest): Promise<FarUdp> {
    return this.#openDatagrams(request, 'udp');
  }

  /** Rejects with FlowRefused: 'reset' where it is not allowed, or where no path carries it. */
  async openEcho(request: FarRequest): Promise<FarUdp> {
    try {
      return await this.#openDatagrams(request, 'icmp');
    } catch (cause) {
      const isForbidden = cause instanceof FlowRefused && cause.isForbidden && cause.refusal !== 'drop';
      throw isForbidden ? new FlowRefused('reset', cause.message) : cause;
    }
  }

  async #openDatagrams(request: FarRequest, protocol: 'udp' | 'icmp'): Promise<FarUdp> {
    const { source, destination } = request;
    const flow = this.#admit(source, { protocol, ...destination }, () => undefined);
    const { ways } = this.#options;
    try {
      const wanted = this.#requestOf(flow, source, destination);
      const opened = await (protocol === 'udp' ? ways.openUdp(wanted) : ways.openEcho(wanted));
      // The rules may have changed while it was opened.
      if (!this.#isAllowed(flow)) {
        opened.close();
        throw new FlowRefused('unreachable', 'The rules of the edge have changed.');
      }
      return this.#held(flow, opened);
    } catch (cause) {
      this.#release(flow);
      throw this.#explain(cause, undefined);
    }
  }

  get edgeName(): string {
    return this.#edgeName;
  }

  /** The device that has the address in the tunnel. */
  deviceAt(address: Uint8Array): DeviceEntry | undefined {
    return this.#devices.find(address);
  }

  /**
   * Takes new rules and ends what they do not allow. Returns a function that tells of an address in the tunnel
   * whether it belongs to another device than before: what it had in the stack must be cut as well.
   */
  reload(rules: EgressRules): (address: Uint8Array) => boolean {
    const before = this.#devices;
    const after = new DeviceMap(rules.devices);
    this.#edgeName = rules.edgeName;
    this.#rates.limit(rules.connectionsPerSecond);
    this.#devices = after;
    this.#policy = new DenyPolicy(rules, this.#options.isOwnAddress);
    this.#policyOfRules = new DenyPolicy(withRules(rules), this.#options.isOwnAddress);
    for (const flow of this.#flows) {
      if (!this.#isAllowed(flow)) flow.cut();
    }
    return (address) => before.find(address)?.key !== after.find(address)?.key;
  }

  /** The same where only devices have changed, which costs what they cost. */
  follow(delta: DeviceDelta): (address: Uint8Array) => boolean {
    const before = this.#devices.follow(delta);
    const touched = new Set([...delta.gone, ...delta.set.map((device) => device.key)]);
    for (const flow of this.#flows) {
      if (touched.has(flow.device.key) && !this.#isAllowed(flow)) flow.cut();
    }
    return (address) => {
      const owner = before.find(({ prefixes }) => prefixes.some((one) => prefixContains(one, address)));
      return owner !== undefined && owner.key !== this.#devices.find(address)?.key;
    };
  }

  close(): void {
    for (const flow of this.#flows) flow.cut();
  }

  #isAllowed(flow: Flow): boolean {
    const owner = this.#devices.find(flow.source);
    if (owner?.key !== flow.device.key) return false;
    const policy = flow.isClosed ? this.#policyOfRules : this.#policy;
    return policy.judge(flow.target, owner.name) === 'open';
  }

  #requestOf(flow: Flow, source: FlowEnd, destination: FlowEnd, firstBytes?: Uint8Array): FlowRequest {
    const { name: device } = flow.device;
    const said = firstBytes === undefined ? undefined : readFirstBytes(firstBytes);
    const name = flowName(this.#options.nameOf?.(device, destination.address), said);
    if (name !== undefined && said !== undefined) this.#options.onNamed?.(device, destination.address, name);
    return { device, source, destination, name, isClosed: flow.isClosed };
  }

  /** Releases the flow once, whoever ends it. */
  #held(flow: Flow, opened: FarUdp): FarUdp {
    let onClose: () => void = () => undefined;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      this.#release(flow);
      onClose();
    };
    opened.onClose(end);
    flow.cut = (): void => {
      opened.close();
      end();
    };
    return {
      send: (bytes) => opened.send(bytes),
      onMessage: (listener) => opened.onMessage(listener),
      onClose: (listener) => {
        onClose = listener;
      },
      close: () => flow.cut(),
    };
  }

  /** Counts the flow in, or throws FlowRefused. */
  #admit(source: FlowEnd, target: Target, cut: () => void): Flow {
    const device = this.#devices.find(source.address);
    if (device === undefined) {
      this.refused.stranger++;
      throw new FlowRefused('drop', 'No device has that address.');
    }
    if (!this.#rates.take(device.key)) {
      this.refused.rate++;
      throw new FlowRefused('drop', 'The device opens connections too fast.');
    }
    const verdict = this.#policy.judge(target, device.name);
    const isClosed = verdict !== 'open' && this.#policyOfRules.judge(target, device.name) === 'open';
    if (verdict !== 'open' && !isClosed) {
      this.refused[verdict]++;
      throw new FlowRefused('unreachable', 'The edge does not let devices go there.');
    }
    const share = shareOf(target, device);
    const used = this.#shares.get(share) ?? 0;
    const { connectionsPerDevice, maxFlows } = this.#options;
    if (used >= connectionsPerDevice || this.#flows.size >= maxFlows) {
      this.refused.share++;
      throw new FlowRefused('reset', 'The device has too many connections.');
    }
    this.#shares.set(share, used + 1);
    const flow: Flow = { source: source.address, device, target, isClosed, cut };
    this.#flows.add(flow);
    return flow;
  }

  /** Idempotent. */
  #release(flow: Flow): void {
    if (!this.#flows.delete(flow)) return;
    const share = shareOf(flow.target, flow.device);
    const left = (this.#shares.get(share) ?? 1) - 1;
    if (left === 0) this.#shares.delete(share);
    else this.#shares.set(share, left);
  }

  #explain(cause: unknown, signal: AbortSignal | undefined): unknown {
    if (cause instanceof FlowRefused || (signal?.aborted === true && cause === signal.reason)) return cause;
    if (cause instanceof FlowBlocked) {
      this.refused.rule++;
      return new FlowRefused(cause.refusal, cause.message);
    }
    this.refused.failed++;
    const refusal =
      cause instanceof PathError ? cause.refusal : refusalOf((cause as NodeJS.ErrnoException).code);
    return new FlowRefused(refusal, 'The destination cannot be had.', false);
  }
}

/** What rules name is open besides, for the path of the rule alone: the choice sees to that. */
function withRules(rules: EgressRules): EgressRules {
  return { ...rules, allow: [...rules.allow, ...rules.rules.flatMap(openingOf)] };
}

function openingOf({ match, use }: EgressRule): readonly Opening[] {
  return match.cidr === undefined || use === 'auto' ? [] : [{ cidr: match.cidr, device: match.device }];
}

function shareOf(target: Target, device: DeviceEntry): string {
  return `${target.protocol} ${device.key}`;
}
