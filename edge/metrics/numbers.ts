/**
 * The edge's numbers in the form of Prometheus (research edge-ops §6). Made from a status at every request; none
 * has a device, a destination or a name in its labels.
 */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { EdgeStatus } from '../admin/status.ts';
import { ControlNumbers } from './control-numbers.ts';
import { PathNumbers } from './path-numbers.ts';

/** A peer that was heard within this time is connected: the protocol makes new keys every two minutes. */
const connectedWithinMs = 3 * minuteMs;

export class EdgeNumbers {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #totals = new Map<string, number>();
  readonly #gauges: ReturnType<typeof makeGauges>;
  readonly #control: ControlNumbers;
  readonly #paths: PathNumbers;
  readonly #counters: ReturnType<typeof makeCounters>;

  constructor() {
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry, prefix: 'culvert_edge_' });
    this.#gauges = makeGauges(this.#registry);
    this.#counters = makeCounters(this.#registry);
    this.#control = new ControlNumbers(this.#registry);
    this.#paths = new PathNumbers(this.#registry);
  }

  async text(status: EdgeStatus, now: UnixMs): Promise<string> {
    this.#take(status, now);
    this.#control.take(status);
    this.#paths.take(status);
    return this.#registry.metrics();
  }

  #take(status: EdgeStatus, now: UnixMs): void {
    const { peers, enrolled, flows, memory, up } = this.#gauges;
    const isConnected = (lastSeen: string | null): boolean =>
      lastSeen !== null && now - Date.parse(lastSeen) < connectedWithinMs;
    const connected = status.devices.filter((device) => isConnected(device.lastSeen)).length;
    up.set({ version: status.version, backend: status.egress.backend }, 1);
    peers.set({ state: 'configured' }, status.devices.length);
    peers.set({ state: 'connected' }, connected);
    enrolled.set(status.enrolled);
    flows.set({ protocol: 'tcp' }, status.egress.flows?.connections ?? 0);
    flows.set({ protocol: 'udp' }, status.egress.flows?.udpFlows ?? 0);
    memory.set(status.egress.flows?.memoryBytes ?? 0);
    this.#takeTotals(status);
  }

  #takeTotals(status: EdgeStatus): void {
    const { bytes, drops, refused, guard } = this.#counters;
    const sum = (of: (device: EdgeStatus['devices'][number]) => number): number =>
      status.devices.reduce((total, device) => total + of(device), 0);
    this.#raise(
      bytes,
      { direction: 'from_devices' },
      sum((device) => device.rxBytes),
    );
    this.#raise(
      bytes,
      { direction: 'to_devices' },
      sum((device) => device.txBytes),
    );
    for (const [reason, count] of Object.entries(status.drops)) this.#raise(drops, { reason }, count);
    for (const [reason, count] of Object.entries(status.egress.flows?.refused ?? {})) {
      this.#raise(refused, { reason }, count);
    }
    for (const [reason, count] of Object.entries(status.egress.guard ?? {})) {
      this.#raise(guard, { reason }, count);
    }
  }

  /** What is told is a total, and falls where a device leaves: a counter only rises. */
  #raise(counter: Counter, labels: Record<string, string>, total: number): void {
    const of = counter === this.#counters.drops ? 'drop' : counter === this.#counters.guard ? 'guard' : '';
    const [[name, value] = ['', '']] = Object.entries(labels);
    const key = `${name} ${value} ${of}`;
    const before = this.#totals.get(key) ?? 0;
    if (total > before) counter.inc(labels, total - before);
    this.#totals.set(key, total);
  }
}

function makeGauges(registry: Registry): {
  readonly peers: Gauge;
  readonly enrolled: Gauge;
  readonly flows: Gauge;
  readonly memory: Gauge;
  readonly up: Gauge;
} {
  const registers = [registry];
  return {
    up: new Gauge({
      name: 'culvert_edge_info',
      help: 'Version and backend.',
      labelNames: ['version', 'backend'],
      registers,
    }),
    peers: new Gauge({
      name: 'culvert_peers',
      help: 'Peers of the tunnel: configured, and heard within three minutes.',
      labelNames: ['state'],
      registers,
    }),
    enrolled: new Gauge({ name: 'culvert_devices', help: 'Devices in the store.', registers }),
    flows: new Gauge({
      name: 'culvert_flows',
      help: 'Open flows of devices; the kernel backend does not tell.',
      labelNames: ['protocol'],
      registers,
    }),
    memory: new Gauge({
      name: 'culvert_flow_memory_bytes',
      help: 'Buffers of the userspace stack.',
      registers,
    }),
  };
}

function makeCounters(registry: Registry): {
  readonly bytes: Counter;
  readonly drops: Counter;
  readonly refused: Counter;
  readonly guard: Counter;
} {
  const registers = [registry];
  return {
    bytes: new Counter({
      name: 'culvert_bytes_total',
      help: 'Bytes inside the tunnel.',
      labelNames: ['direction'],
      registers,
    }),
    drops: new Counter({
      name: 'culvert_drops_total',
      help: 'Packets that were dropped.',
      labelNames: ['reason'],
      registers,
    }),
    guard: new Counter({
      name: 'culvert_guard_drops_total',
      help: "Packets of devices that the kernel's firewall dropped.",
      labelNames: ['reason'],
      registers,
    }),
    refused: new Counter({
      name: 'culvert_flows_refused_total',
      help: 'Flows that were refused.',
      labelNames: ['reason'],
      registers,
    }),
  };
}
