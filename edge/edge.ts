/**
 * Composition root of `culvert-edge run`: builds the parts in order, takes them back in reverse. How packets
 * leave is kernel-egress.ts or userspace-egress.ts; who may come is registration/.
 */

import { join } from 'node:path';
import type { Entropy } from '../shared/core/base/ports.ts';
import type { UnixMs } from '../shared/core/base/time.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import { type Clock, systemClock } from '../shared/node/clock.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { ActivityCounts } from './admin/activity.ts';
import { certificateStatus } from './admin/certificate-status.ts';
import { type AdminMethods, serveAdmin } from './admin/server.ts';
import { type EdgeStatus, edgeStatus } from './admin/status.ts';
import type { EdgeConfig } from './config.ts';
import { loadConfig } from './config-file.ts';
import { Sightings } from './doctor/sightings.ts';
import type { PathsAnswer, PathsQuestion } from './egress/paths-question.ts';
import type { EdgeEgress, EgressParts } from './egress-parts.ts';
import { ApiRelay } from './gateway/api-relay.ts';
import { type EdgeIdentity, readOrCreateIdentity } from './identity.ts';
import { startKernelEgress } from './kernel-egress.ts';
import { serveMetrics } from './metrics/server.ts';
import { Accounting, accountingEveryMs } from './peers/accounting.ts';
import { DeviceLimits } from './peers/device-limits.ts';
import { KnownDevices } from './peers/known-devices.ts';
import type { DeviceChanges } from './peers/sync-plan.ts';
import { needRestart, ownFacts } from './plan.ts';
import { type RunningRegistration, startRegistration } from './registration/start-registration.ts';
import { apiSocketName, controlSocketName, type EdgeOptions } from './run-options.ts';
import { type Prepared, prepare } from './start-checks.ts';
import { Teardown } from './teardown.ts';
import { startUserspaceEgress } from './userspace-egress.ts';

const backends: Readonly<Record<EdgeConfig['backend'], (parts: EgressParts) => Promise<EdgeEgress>>> = {
  kernel: startKernelEgress,
  userspace: startUserspaceEgress,
};

/** How long words to devices have to leave before the tunnel ends. */
const farewellMs = 250;

export class Edge {
  readonly identity: EdgeIdentity;
  readonly #options: EdgeOptions;
  readonly #prepared: Prepared;
  readonly #teardown: Teardown;
  readonly #startedAt: UnixMs;
  readonly #clock: Clock = systemClock();
  readonly #entropy: Entropy = systemEntropy();
  readonly #devices = new KnownDevices();
  readonly #limits = new DeviceLimits(() => this.#config);
  readonly #relay = new ApiRelay((address) => this.#devices.idAt(address));
  #config: EdgeConfig;
  #egress: EdgeEgress | undefined;
  #registration: RunningRegistration | undefined;
  #accounting: Accounting | undefined;
  #onFailure: (() => void) | undefined;
  #failed = false;

  /** Checks, cleans up after a crash, and starts. Throws CulvertError; nothing is left behind then. */
  static async start(options: EdgeOptions): Promise<Edge> {
    const socketPath = join(options.dataFolder, controlSocketName);
    const edge = new Edge(options, await prepare(options, socketPath));
    try {
      await edge.#build(socketPath);
    } catch (cause) {
      await edge.stop();
      throw cause;
    }
    return edge;
  }

  private constructor(options: EdgeOptions, prepared: Prepared) {
    this.identity = readOrCreateIdentity(prepared.config.privateKeyFile);
    this.#options = options;
    this.#prepared = prepared;
    this.#config = prepared.config;
    this.#teardown = new Teardown(options.log);
    this.#startedAt = options.unixNow();
  }

  get config(): EdgeConfig {
    return this.#config;
  }

  /** Calls back once where the tunnel ends by itself. The caller stops the edge then. */
  onFailure(listener: () => void): void {
    this.#onFailure = listener;
    if (this.#failed) listener();
  }

  async status(): Promise<EdgeStatus> {
    const egress = this.#running();
    const registration = this.#registration;
    return edgeStatus({
      config: this.#config,
      publicKey: this.identity.publicKey,
      version: this.#options.version,
      device: await egress.tunnel.status(),
      flows: await egress.counts(),
      paths: await egress.pathStatus?.(),
      guard: await egress.guardDrops?.(),
      httpsPorts: registration?.httpsPorts ?? [],
      pin: registration?.certificate().pinText ?? '',
      activity: registration?.activity() ?? new ActivityCounts().read(0),
      certificate: certificateStatus(this.#config, registration),
      enrolled: registration?.sync.devices.size ?? 0,
      deviceOf: (publicKey) => registration?.sync.deviceOf(publicKey),
      startedAt: this.#startedAt,
      now: this.#options.unixNow(),
    });
  }

  /** Reads the configuration again and applies its peers and openings. On any error all stays as it was. */
  async reload(): Promise<void> {
    const { log, configPath, dataFolder } = this.#options;
    const { config, warnings } = loadConfig(configPath, dataFolder, this.#prepared.kernelMissing);
    for (const { line, text } of warnings) log.warn(text, { line });
    const fixed = needRestart(this.#config, config);
    if (fixed.length > 0) {
      throw new CulvertError('bad-config', {
        text: `Nothing was changed: ${fixed.join(', ')} cannot change while the edge runs.`,
        remedy: 'Restart the edge, or put the old values back.',
      });
    }
    await this.#running().reload(this.#config, config);
    this.#config = config;
    await this.#accounting?.look(true);
    this.#warnOfStrangers();
    void this.#registration?.pushChanges();
    log.info('configuration reloaded', { peers: config.peers.length });
  }

  /** Takes everything back. Idempotent. */
  async stop(): Promise<void> {
    // The words leave through the tunnel, which is taken down next.
    const isTelling = this.#registration?.announceStop() === true;
    if (isTelling) await new Promise((resolve) => setTimeout(resolve, farewellMs));
    await this.#teardown.run();
  }

  async #build(socketPath: string): Promise<void> {
    const { log, unixNow, dataFolder } = this.#options;
    const apiSocket = join(dataFolder, apiSocketName);
    this.#egress = await backends[this.#config.backend]({
      config: this.#config,
      current: () => this.#config,
      devices: () => this.#devices.entries,
      isStoreKey: (publicKey) => this.#registration?.sync.deviceOf(publicKey) !== undefined,
      apiSocket,
      identity: this.identity,
      journal: this.#prepared.journal,
      socketPath,
      teardown: this.#teardown,
      log,
      unixNow,
      onEnd: (why, detail) => this.#tunnelEnded(why, detail),
    });
    const registration = await this.#register(this.#egress);
    this.#teardown.add('API inside the tunnel', await this.#relay.serve(apiSocket, registration.handler));
    await this.#account(this.#egress, registration);
    await this.#serveNumbers();
    const methods: AdminMethods = {
      status: () => this.status(),
      reload: () => this.reload(),
      look: () => registration.sync.nudge(),
      paths: (question) => this.#askPaths(question),
      outside: () => registration.lookFromOutside(),
    };
    const admin = await serveAdmin(socketPath, methods);
    this.#teardown.add('control socket', () => admin.close());
    this.#warnOfStrangers();
  }

  async #register(egress: EdgeEgress): Promise<RunningRegistration> {
    const { dataFolder, log, version } = this.#options;
    const { certificate, acme, httpsPorts } = this.#config;
    const sightings = new Sightings({
      status: () => egress.tunnel.status(),
      ownerOf: (publicKey) => this.#registration?.sync.deviceOf(publicKey)?.id,
      unixNow: this.#options.unixNow,
    });
    egress.tunnel.onEvent((event) => sightings.handleEvent(event));
    const registration = await startRegistration({
      dataFolder,
      identity: this.identity,
      facts: () => ownFacts(this.#config),
      tunnel: egress.tunnel,
      deviceLimits: this.#limits,
      onChanges: (changes) => this.#follow(egress, changes),
      httpsPorts,
      tunnelDevice: (connection) => this.#relay.deviceOf(connection),
      askPaths: (question) => this.#askPaths(question),
      sight: (keys) => sightings.of(keys),
      ...(certificate === undefined ? {} : { certificateFiles: certificate }),
      ...(acme === undefined ? {} : { acme }),
      clock: this.#clock,
      entropy: this.#entropy,
      log,
      version,
    });
    this.#registration = registration;
    this.#teardown.add('registration', () => registration.close());
    return registration;
  }

  async #follow(egress: EdgeEgress, changes: DeviceChanges): Promise<void> {
    const delta = this.#devices.follow(changes, this.#options.unixNow());
    const isOther = delta.set.length + delta.gone.length + changes.cut.length > 0;
    if (isOther) await egress.follow({ cut: changes.cut, delta });
    // Not awaited: it may have to wait for a look that waits for us.
    if (changes.changed.some((device) => this.#limits.isStale(device))) void this.#accounting?.look(true);
  }

  async #account(egress: EdgeEgress, registration: RunningRegistration): Promise<void> {
    const { log, unixNow } = this.#options;
    const accounting = new Accounting({
      store: registration.store,
      sync: registration.sync,
      status: () => egress.tunnel.status(),
      configure: (change) => egress.tunnel.configure(change),
      limits: this.#limits,
      usual: () => this.#config,
      entropy: this.#entropy,
      unixNow,
      log,
    });
    this.#accounting = accounting;
    // Devices of the store have their limits already; peers of the file get the usual rate by this.
    if (this.#config.deviceRate > 0) await accounting.look(true);
    const timer = setInterval(() => void accounting.look(), accountingEveryMs);
    this.#teardown.add('accounting', () => {
      clearInterval(timer);
      return accounting.look(true);
    });
  }

  async #serveNumbers(): Promise<void> {
    const place = this.#config.metrics;
    if (place === undefined) return;
    const { log } = this.#options;
    try {
      this.#teardown.add('metrics', await serveMetrics(place, { status: () => this.status(), log }));
    } catch (cause) {
      // An edge that nobody watches still carries its devices.
      log.warn('the numbers are not served', { why: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  /** Openings for nobody: the device may enrol later, or its name is mistyped. */
  #warnOfStrangers(): void {
    const names = new Set(this.#config.peers.map((peer) => peer.name));
    for (const { name } of this.#devices.entries) names.add(name);
    for (const { name, entry } of this.#config.allowNames) {
      // Its place, not its name: logs name no devices.
      if (!names.has(name))
        this.#options.log.warn('egress.allow names a device that there is not', { entry });
    }
  }

  async #askPaths(question: PathsQuestion): Promise<PathsAnswer> {
    return this.#running().paths(question);
  }

  #running(): EdgeEgress {
    if (this.#egress === undefined) throw new CulvertError('edge-not-running');
    return this.#egress;
  }

  #tunnelEnded(why: 'gone' | 'failed', detail: string): void {
    this.#failed = true;
    this.#options.log.error('the tunnel has ended', { why, detail });
    this.#onFailure?.();
  }
}
