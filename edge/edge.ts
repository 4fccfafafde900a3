/**
 * Composition root of `culvert-edge run`: builds the parts in order, takes them back in reverse. The
 * guard stands before the first packet can pass and falls after the last one has.
 */

import { mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { UnixMs } from '../shared/core/base/time.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { run } from '../shared/node/run.ts';
import { uapiPath } from '../shared/node/uapi/uapi-socket.ts';
import { answers } from './admin/client.ts';
import { serveAdmin } from './admin/server.ts';
import { type EdgeStatus, edgeStatus } from './admin/status.ts';
import type { EdgeConfig } from './config.ts';
import { loadConfig } from './config-file.ts';
import { applyForwarding, planForwarding } from './host/forwarding.ts';
import { HostJournal, hostPlace } from './host/journal.ts';
import { applyGuard } from './host/kernel-nat.ts';
import { kernelSettings } from './host/kernel-settings.ts';
import { bringUp } from './host/link.ts';
import { askHost, checkPrivileges } from './host/privileges.ts';
import { undoJournal } from './host/undo.ts';
import { type EdgeIdentity, readOrCreateIdentity } from './identity.ts';
import { peerChanges } from './peers/peer-changes.ts';
import { serveWgSocket } from './peers/wg-socket.ts';
import { guardPlan, linkPlans, needRestart } from './plan.ts';
import { controlSocketName, type EdgeOptions } from './run-options.ts';
import { Teardown } from './teardown.ts';
import { startEdgeTunnel } from './workers.ts';

/** Beside this file, as source or built. */
const packetThread = new URL(
  `./packet-thread${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
);
const journalName = 'host-journal.jsonl';

export class Edge {
  readonly identity: EdgeIdentity;
  readonly #options: EdgeOptions;
  readonly #journal: HostJournal;
  readonly #teardown: Teardown;
  readonly #startedAt: UnixMs;
  #config: EdgeConfig;
  #tunnel: TunnelBackend | undefined;
  #onFailure: (() => void) | undefined;
  #failed = false;

  /** Checks, cleans up after a crash, and starts. Throws CulvertError; nothing is left behind then. */
  static async start(options: EdgeOptions): Promise<Edge> {
    checkPrivileges(askHost());
    mkdirSync(options.dataFolder, { recursive: true, mode: 0o700 });
    const socketPath = join(options.dataFolder, controlSocketName);
    if (await answers(socketPath)) throw new CulvertError('edge-running');
    const place = hostPlace((path) => readFileSync(path, 'utf8'), readlinkSync);
    const journal = new HostJournal(join(options.dataFolder, journalName), place);
    const leftovers = await undoJournal(journal, { run, settings: kernelSettings, log: options.log });
    if (leftovers > 0)
      options.log.warn('cleaned up after an edge that ended abruptly', { changes: leftovers });
    const edge = new Edge(options, journal);
    try {
      await edge.#build(socketPath);
    } catch (cause) {
      await edge.stop();
      throw cause;
    }
    return edge;
  }

  private constructor(options: EdgeOptions, journal: HostJournal) {
    const { config, warnings } = loadConfig(options.configPath, options.dataFolder);
    for (const { line, text } of warnings) options.log.warn(text, { line });
    this.identity = readOrCreateIdentity(config.privateKeyFile);
    this.#options = options;
    this.#config = config;
    this.#journal = journal;
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
    const tunnel = this.#running();
    return edgeStatus({
      config: this.#config,
      publicKey: this.identity.publicKey,
      version: this.#options.version,
      device: await tunnel.status(),
      startedAt: this.#startedAt,
      now: this.#options.unixNow(),
    });
  }

  /** Reads the configuration again and applies its peers and openings. On any error all stays as it was. */
  async reload(): Promise<void> {
    const { log } = this.#options;
    const { config, warnings } = loadConfig(this.#options.configPath, this.#options.dataFolder);
    for (const { line, text } of warnings) log.warn(text, { line });
    const fixed = needRestart(this.#config, config);
    if (fixed.length > 0) {
      throw new CulvertError('bad-config', {
        text: `Nothing was changed: ${fixed.join(', ')} cannot change while the edge runs.`,
        remedy: 'Restart the edge, or put the old values back.',
      });
    }
    const peers = peerChanges(this.#config.peers, config.peers);
    await this.#running().configure({ peers });
    await applyGuard(guardPlan(config), this.#journal, run);
    this.#config = config;
    log.info('configuration reloaded', { peers: config.peers.length, changed: peers.length });
  }

  /** Takes everything back. Idempotent. */
  stop(): Promise<void> {
    return this.#teardown.run();
  }

  async #build(socketPath: string): Promise<void> {
    const { log } = this.#options;
    const config = this.#config;
    const journal = this.#journal;
    this.#teardown.add('changes of the host', () =>
      undoJournal(journal, { run, settings: kernelSettings, log }),
    );
    await applyGuard(guardPlan(config), journal, run);
    const tunnel = await startEdgeTunnel({ config, entry: packetThread, log, run });
    this.#tunnel = tunnel;
    this.#teardown.add('tunnel', () => tunnel.stop());
    tunnel.onEnd((why, detail) => this.#tunnelEnded(why, detail));
    await tunnel.configure({
      privateKey: this.identity.privateKey,
      listenPort: config.udpPorts[0] ?? 0,
      peers: peerChanges([], config.peers),
    });
    for (const plan of linkPlans(config)) await bringUp(plan, run);
    await tunnel.route();
    const families = { v4: config.network.v4 !== undefined, v6: config.network.v6 !== undefined };
    applyForwarding(planForwarding(families, kernelSettings), journal, kernelSettings);
    journal.record({ kind: 'socket-file', path: uapiPath(tunnel.interfaceName) });
    const closeWgSocket = await serveWgSocket({
      tunnel,
      log,
      owned: () => ({
        privateKey: this.identity.privateKey,
        listenPort: this.#config.udpPorts[0] ?? 0,
        peers: this.#config.peers,
      }),
    });
    this.#teardown.add('socket of wg', closeWgSocket);
    journal.record({ kind: 'socket-file', path: socketPath });
    const admin = await serveAdmin(socketPath, { status: () => this.status() });
    this.#teardown.add('control socket', () => admin.close());
  }

  #running(): TunnelBackend {
    if (this.#tunnel === undefined) throw new CulvertError('edge-not-running');
    return this.#tunnel;
  }

  #tunnelEnded(why: 'gone' | 'failed', detail: string): void {
    this.#failed = true;
    this.#options.log.error('the tunnel has ended', { why, detail });
    this.#onFailure?.();
  }
}
