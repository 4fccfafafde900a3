/**
 * The programs of `culvert lab` in their places: a real edge, a real client that is enrolled with it, the router's own
 * servers, a web server, and somebody who opens a page. Does what a step of a network says. Shows nothing.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unreachable } from '../../shared/core/base/assert.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Mode } from '../../shared/core/control/status.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import type { LabHost } from '../../shared/node/lab/topology.ts';
import { transportsPath } from '../settings/paths.ts';
import { programPath, untilAnswers } from '../start/programs.ts';
import type { DownloadLine } from './download-program.ts';
import { edgeHttpsPort, type Fault, faultsAfter, type Happening, routerPorts } from './networks.ts';
import type { PageLine } from './page-program.ts';
import { downloadUrl, edgeName, LabWorld, pageUrl, places } from './world.ts';

const readyMs = 60_000;
const closedMs = 15_000;
const lookMs = 10;
const webPort = 80;
const udpPort = 51_820;
const proxyPort = 40_000;
const scripts = fileURLToPath(new URL('.', import.meta.url));
const webProgram = fileURLToPath(new URL('../start/far-web-program.ts', import.meta.url));

export class LabStage {
  readonly world: LabWorld;
  #mode: Mode;
  readonly #children: Child[] = [];
  #taken: (Fault | Happening)[] = [];
  #edge: Child | undefined;
  #daemon: Child | undefined;
  #page: Child | undefined;
  #download: Child | undefined;
  #hasFalseEdge = false;
  #cleared = false;

  static async build(mode: Mode): Promise<LabStage> {
    return new LabStage(await LabWorld.build(), mode);
  }

  private constructor(world: LabWorld, mode: Mode) {
    this.world = world;
    this.#mode = mode;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Of the laptop's daemon. */
  get socket(): string {
    return join(this.world.folder, 'control.sock');
  }

  get control(): ControlClient {
    return new ControlClient(this.socket);
  }

  /** Everything runs, the client is enrolled and off. */
  async start(): Promise<void> {
    const { router, web } = this.world;
    const servers = await this.#start(router, 'the router', join(scripts, 'router-program.ts'));
    const far = await this.#start(web, 'the web server', webProgram, String(webPort));
    this.#page = await this.#visit('page-program.ts', pageUrl);
    await Promise.all([servers.waitFor(/^ready$/m, readyMs), far.waitFor(/listening/, readyMs)]);
    await this.#initEdge();
    await Promise.all([this.#startEdge(), this.#startDaemon()]);
    await this.enroll();
  }

  /** As after `start`, in this mode: the client is off, the network good, and nothing is remembered of what it needed. */
  async again(mode: Mode): Promise<void> {
    this.#daemon?.signal('SIGCONT');
    await this.control.call('disconnect');
    await this.#untilOff();
    for (const child of [this.#page, this.#download]) await child?.end();
    this.#download = undefined;
    this.#taken = [];
    await this.world.restore();
    if (this.#edge?.hasExited === true) await this.#startEdge();
    rmSync(transportsPath(this.#clientFolder), { force: true });
    this.#mode = mode;
    await this.#choose();
    this.#page = await this.#visit('page-program.ts', pageUrl);
  }

  async #untilOff(): Promise<void> {
    const deadline = performance.now() + closedMs;
    while ((await this.control.call('status')).state !== 'off') {
      if (performance.now() > deadline)
        throw new CulvertError('timeout', { text: 'The client did not end.' });
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }

  /** Until the client has closed the laptop: from then on nothing may leave it outside the tunnel. */
  async untilClosed(): Promise<void> {
    if (this.mode === 'proxy') return;
    const deadline = performance.now() + closedMs;
    while (performance.now() < deadline) {
      const { stdout } = await this.world.laptop.run('nft', ['list', 'tables']);
      if (/^table inet culvert$/m.test(stdout)) return;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    throw new CulvertError('timeout', { text: 'The client did not close the laptop.' });
  }

  /** The visitor begins to open the page, or says once more what is. */
  ask(): void {
    this.#page?.write('\n');
  }

  /** What the visitor said so far; the oldest may be gone. */
  pageLines(): readonly PageLine[] {
    const lines = (this.#page?.stdout ?? '').split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as PageLine);
  }

  /** Of the file that is being loaded, once it is there or failed. */
  downloaded(): DownloadLine | undefined {
    const line = /^\{.*\}$/m.exec(this.#download?.stdout ?? '')?.[0];
    return line === undefined ? undefined : (JSON.parse(line) as DownloadLine);
  }

  /** Makes it so. */
  async take(step: Fault | Happening): Promise<void> {
    this.#taken.push(step);
    switch (step.do) {
      case 'block-udp':
      case 'throttle-udp':
      case 'drop-larger':
      case 'lose':
      case 'hijack-dns':
      case 'portal':
      case 'sign-in':
      case 'clear':
        return this.world.hold(faultsAfter(this.#taken));
      case 'intercept-tls':
        await this.#startFalseEdge();
        return this.world.hold(faultsAfter(this.#taken));
      case 'narrow-link':
        return this.world.narrow(step.bytes);
      case 'move':
        return this.world.move();
      case 'sleep':
        this.#daemon?.signal('SIGSTOP');
        return this.world.unplug();
      case 'wake':
        await this.world.plugIn();
        this.#daemon?.signal('SIGCONT');
        return;
      case 'kill-edge':
        await this.#edge?.end('SIGKILL');
        return;
      case 'start-edge':
        return this.#startEdge();
      case 'download':
        this.#download = await this.#visit('download-program.ts', downloadUrl, String(step.kilobytes * 1000));
        return;
      default:
        return unreachable(step);
    }
  }

  /** Ends the programs, the last one first, and removes everything. Idempotent. */
  async clear(): Promise<void> {
    this.#cleared = true;
    // One that stands still would not hear that it is to end.
    this.#daemon?.signal('SIGCONT');
    for (const child of this.#children.toReversed()) await child.end();
    await this.world.down();
  }

  get #clientFolder(): string {
    return join(this.world.folder, 'client');
  }

  get #edgeFolder(): string {
    return join(this.world.folder, 'edge');
  }

  async #initEdge(): Promise<void> {
    const { edge } = this.world;
    const places = ['--udp', String(udpPort), '--https', String(edgeHttpsPort)];
    const words = ['init', '--endpoint', edgeName, '--name', 'home', ...places, '--data', this.#edgeFolder];
    await edge.run(programPath('culvert-edge'), words, { timeoutMs: readyMs });
    withoutInternet(join(this.#edgeFolder, 'edge.yaml'));
  }

  async #startEdge(): Promise<void> {
    const words = [programPath('culvert-edge'), 'run', '--data', this.#edgeFolder];
    this.#edge = this.#keep(await this.world.edge.start('culvert-edge run', words));
    await this.#edge.waitFor(/^ready$/m, readyMs);
  }

  /** Another edge with keys of its own, where intercepted connections arrive. */
  async #startFalseEdge(): Promise<void> {
    if (this.#hasFalseEdge) return;
    this.#hasFalseEdge = true;
    const { router, folder } = this.world;
    const own = join(folder, 'false');
    mkdirSync(own, { mode: 0o700 });
    const places = ['--udp', String(udpPort), '--https', String(routerPorts.falseTls)];
    const words = ['init', '--endpoint', edgeName, '--name', 'false', ...places, '--data', own];
    await router.run(programPath('culvert-edge'), words, { timeoutMs: readyMs });
    withoutInternet(join(own, 'edge.yaml'));
    const run = [programPath('culvert-edge'), 'run', '--data', own];
    const started = this.#keep(await router.start('the false edge', run));
    await started.waitFor(/^ready$/m, readyMs);
  }

  /** The client's daemon ends and begins anew; `before`: words that begin its command. What it had been told stays. */
  async restartDaemon(before: readonly string[] = []): Promise<void> {
    await this.#daemon?.end();
    await this.#startDaemon(before);
  }

  async #startDaemon(before: readonly string[] = []): Promise<void> {
    const own = ['--state-dir', this.#clientFolder, '--socket', this.socket];
    const words = [...before, programPath('culvert'), 'daemon', '--foreground', ...own];
    const daemon = this.#keep(await this.world.laptop.start('culvert daemon', words));
    this.#daemon = daemon;
    await untilAnswers(daemon, () => this.control.call('status'), readyMs);
    await this.#choose();
  }

  /** The mode, and a resolver that this world has. */
  async #choose(): Promise<void> {
    const ours = this.mode === 'proxy' ? { 'proxy.port': proxyPort } : {};
    const names = this.mode === 'tunnel+doh' ? { 'dns.upstreams': `udp://${places.router}` } : {};
    await this.control.call('changeSettings', { mode: this.mode, ...ours, ...names });
  }

  /** Also where the edge knows the laptop no more. */
  async enroll(): Promise<void> {
    const { edge, laptop } = this.world;
    const words = ['invite', '--json', '--data', this.#edgeFolder];
    const { stdout } = await edge.run(programPath('culvert-edge'), words, { timeoutMs: readyMs });
    const { link } = JSON.parse(stdout) as { readonly link: string };
    const enroll = ['enroll', link, '--name', 'laptop', '--socket', this.socket];
    await laptop.run(programPath('culvert'), enroll, { timeoutMs: readyMs });
  }

  async #visit(program: string, ...more: readonly string[]): Promise<Child> {
    const way = this.mode === 'proxy' ? [String(proxyPort)] : [];
    const words = [process.execPath, join(scripts, program), ...more, ...way];
    return this.#keep(await this.world.laptop.start('the visitor', words, { input: true }));
  }

  async #start(host: LabHost, name: string, ...words: readonly string[]): Promise<Child> {
    return this.#keep(await host.start(name, [process.execPath, ...words]));
  }

  /** One that comes while everything is taken away goes at once. */
  #keep(child: Child): Child {
    this.#children.push(child);
    if (this.#cleared) void child.end();
    return child;
  }
}

/** Nothing of the lab asks the Internet; no kernel interface is needed for the edge. */
function withoutInternet(path: string): void {
  const text = readFileSync(path, 'utf8')
    .replace(/backend: \w+/, 'backend: userspace')
    .replace(/^dns: \{ upstreams: \[[^\]]*\]/m, 'dns: { upstreams: []')
    .replace(/^ {2}metrics: "[^"]*"/m, '  metrics: off')
    .replace(/^( {2}paths: .*)$/m, '$1\n  probe: { every: 10s, targets: [] }');
  writeFileSync(path, text, { mode: 0o600 });
}
