/** Numbers of what stands beside the packets: the API, its certificate, handshakes, paths and workers. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { AcmeState } from '../acme/renewal.ts';
import type { EdgeStatus } from '../admin/status.ts';

const acmeStates: readonly AcmeState[] = ['waiting', 'valid', 'failing'];

export class ControlNumbers {
  readonly #gauges: ReturnType<typeof makeGauges>;
  readonly #counters: ReturnType<typeof makeCounters>;
  readonly #totals = new Map<string, number>();

  constructor(registry: Registry) {
    this.#gauges = makeGauges(registry);
    this.#counters = makeCounters(registry);
  }

  take(status: EdgeStatus): void {
    const { activity, certificate } = status;
    const { expires, acme, listeners, ready } = this.#gauges;
    ready.set(status.listen.udp.every((port) => port > 0) ? 1 : 0);
    listeners.set(activity.listeners);
    if (certificate.expiresAt !== null) expires.set(Date.parse(certificate.expiresAt) / 1000);
    for (const state of acmeStates) acme.set({ state }, certificate.acme?.state === state ? 1 : 0);
    this.#raise(this.#counters.handshakes, {}, activity.handshakes);
    this.#raise(this.#counters.acmeFailures, {}, certificate.acme?.failures ?? 0);
    for (const [key, count] of Object.entries(activity.requests)) {
      const words = key.split(' ');
      const [method = '', route = '', code = ''] = words.length === 3 ? words : ['', ...words];
      this.#raise(this.#counters.requests, { method, route, code }, count);
    }
    this.#takeNames(status);
    this.#takePaths(status);
    this.#takeWorkers(status);
  }

  /** User space alone tells. */
  #takeNames({ egress }: EdgeStatus): void {
    const dns = egress.flows?.dns;
    if (dns === undefined) return;
    this.#gauges.dnsEntries.set(dns.cacheEntries);
    this.#raise(this.#counters.dns, { result: 'cached' }, dns.cacheHits);
    this.#raise(this.#counters.dns, { result: 'not_cached' }, dns.cacheMisses);
    this.#raise(this.#counters.dns, { result: 'failed' }, dns.failed);
  }

  #takePaths({ paths }: EdgeStatus): void {
    const { pathUp, pathRtt, pathLoss, pathFlows } = this.#gauges;
    for (const path of paths) {
      if (path.state === undefined) continue;
      const labels = { path: path.id };
      pathUp.set(labels, path.state === 'down' || path.trouble ? 0 : 1);
      pathFlows.set(labels, path.flows ?? 0);
      pathLoss.set(labels, (path.lossPercent ?? 0) / 100);
      if (typeof path.rttMs === 'number') pathRtt.set(labels, path.rttMs / 1000);
      this.#raise(this.#counters.pathOpened, labels, path.opened ?? 0);
      this.#raise(this.#counters.pathFailed, labels, path.failed ?? 0);
    }
  }

  /** Each has its own port, by which its devices are known. */
  #takeWorkers({ listen, devices }: EdgeStatus): void {
    for (const [i, port] of listen.udp.entries()) {
      const count = devices.filter((device) => device.udpPort === port).length;
      this.#gauges.workerPeers.set({ worker: String(i + 1) }, count);
    }
  }

  /** What is told is a total since the start. */
  #raise(counter: Counter, labels: Record<string, string>, total: number): void {
    const key = JSON.stringify([counterNames.get(counter), labels]);
    const before = this.#totals.get(key) ?? 0;
    if (total > before || before === 0) counter.inc(labels, Math.max(0, total - before));
    this.#totals.set(key, total);
  }
}

/** So that two counters with the same labels are two. */
const counterNames = new WeakMap<Counter, string>();

function gauge(registry: Registry, name: string, help: string, labelNames: string[] = []): Gauge {
  return new Gauge({ name, help, labelNames, registers: [registry] });
}

function counter(registry: Registry, name: string, help: string, labelNames: string[] = []): Counter {
  const made = new Counter({ name, help, labelNames, registers: [registry] });
  counterNames.set(made, name);
  return made;
}

function makeGauges(
  registry: Registry,
): Readonly<
  Record<
    | 'expires'
    | 'dnsEntries'
    | 'acme'
    | 'listeners'
    | 'ready'
    | 'pathUp'
    | 'pathRtt'
    | 'pathLoss'
    | 'pathFlows'
    | 'workerPeers',
    Gauge
  >
> {
  return {
    expires: gauge(
      registry,
      'culvert_certificate_expiry_timestamp_seconds',
      'When the certificate of the HTTPS port ends, Unix time.',
    ),
    dnsEntries: gauge(
      registry,
      'culvert_dns_cache_entries',
      'Answers that the resolver inside the tunnel keeps.',
    ),
    acme: gauge(
      registry,
      'culvert_acme_state',
      '1 for the state that holds; all 0 where no authority is asked.',
      ['state'],
    ),
    listeners: gauge(registry, 'culvert_config_listeners', 'Devices that listen for changes.'),
    ready: gauge(registry, 'culvert_edge_ready', '1 while devices can come.'),
    pathUp: gauge(registry, 'culvert_path_up', '1 while the path can be used.', ['path']),
    pathRtt: gauge(registry, 'culvert_path_rtt_seconds', 'Time to connect through the path.', ['path']),
    pathLoss: gauge(registry, 'culvert_path_loss_ratio', 'Measurements that failed, 0 to 1.', ['path']),
    pathFlows: gauge(registry, 'culvert_path_flows', 'Open flows on the path.', ['path']),
    workerPeers: gauge(registry, 'culvert_worker_peers', 'Peers of each packet worker.', ['worker']),
  };
}

function makeCounters(
  registry: Registry,
): Readonly<
  Record<'handshakes' | 'dns' | 'acmeFailures' | 'requests' | 'pathOpened' | 'pathFailed', Counter>
> {
  return {
    handshakes: counter(registry, 'culvert_handshakes_total', 'Handshakes that came about.'),
    dns: counter(
      registry,
      'culvert_dns_questions_total',
      'Questions at the resolver inside the tunnel; failed: of those that were asked elsewhere.',
      ['result'],
    ),
    acmeFailures: counter(
      registry,
      'culvert_acme_failures_total',
      'Tries to have a certificate that failed.',
    ),
    requests: counter(registry, 'culvert_api_requests_total', 'Answered calls of the API.', [
      'method',
      'route',
      'code',
    ]),
    pathOpened: counter(registry, 'culvert_path_opened_total', 'Flows that took the path.', ['path']),
    pathFailed: counter(registry, 'culvert_path_failed_total', 'Flows that failed on the path.', ['path']),
  };
}
