/**
 * The stage of the demonstration of a whole device: three hosts of shared/node/lab, a real edge and a real client
 * in them, started by their own commands. Shows nothing; whole-device-demonstration.ts does.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Status } from '../../shared/core/control/status.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { demoNetwork, newKeys, peersLine, wgQuickFile } from './demo-keys.ts';
import { askEdge, type EdgeView } from './edge-view.ts';
import { programPath, untilAnswers } from './programs.ts';

export interface Visit {
  readonly ok: boolean;
  /** Where the web server saw the visitor come from. */
  readonly from?: string;
  readonly ms?: number;
  readonly why?: string;
}

export interface Measured {
  readonly roundTripMs: number;
  readonly downBps: number;
  readonly upBps: number;
}

const edgePort = 51_820;
const webPort = 80;
const readyMs = 20_000;
const measureMs = 3000;
const scripts = fileURLToPath(new URL('.', import.meta.url));

export const pageV4: string = `http://${labAddresses.inet}/`;
export const pageV6: string = `http://[${labAddresses.inetV6}]/`;

export class WholeDeviceStage {
  readonly #lab: Lab;
  readonly #edgeFolder: string;
  readonly #clientFolder: string;
  readonly #keys: { readonly privateKey: string; readonly publicKey: string };
  readonly #children: Child[] = [];

  static async build(): Promise<WholeDeviceStage> {
    return new WholeDeviceStage(await Lab.up({ label: 'culvert-demo' }));
  }

  private constructor(lab: Lab) {
    this.#lab = lab;
    this.#keys = newKeys();
    this.#edgeFolder = join(lab.folder, 'edge');
    this.#clientFolder = join(lab.folder, 'client');
    for (const folder of [this.#edgeFolder, this.#clientFolder]) mkdirSync(folder, { mode: 0o700 });
  }

  /** Where a person may look around as the client. */
  get clientNamespace(): string {
    return this.#lab.client.namespace;
  }

  async startWeb(): Promise<void> {
    const words = [process.execPath, join(scripts, 'far-web-program.ts'), String(webPort)];
    const web = this.#keep(await this.#lab.inet.start('the web server', words));
    await web.waitFor(/listening/, readyMs);
  }

  async startEdge(): Promise<void> {
    const config = [
      'name: demo',
      `endpoint: ${labAddresses.edge}`,
      `interface: cve${process.pid}`,
      `listen: { udp: [${edgePort}] }`,
      demoNetwork,
      'egress: { backend: kernel }',
      peersLine(this.#keys.publicKey),
    ];
    writeFileSync(join(this.#edgeFolder, 'edge.yaml'), `${config.join('\n')}\n`);
    const words = [programPath('culvert-edge'), 'run', '--data', this.#edgeFolder];
    const edge = this.#keep(await this.#lab.edge.start('culvert-edge run', words));
    await edge.waitFor(/^ready$/m, readyMs);
  }

  async startClient(): Promise<void> {
    const { publicKey } = await this.edgeView();
    const file = join(this.#clientFolder, 'demo.conf');
    const endpoint = `${labAddresses.edge}:${edgePort}`;
    const conf = wgQuickFile({ privateKey: this.#keys.privateKey, edgeKey: publicKey, endpoint });
    writeFileSync(file, conf, { mode: 0o600 });
    const folder = join(this.#clientFolder, 'state');
    const words = [programPath('culvert'), 'daemon', '--foreground', '--state-dir', folder];
    const daemon = await this.#lab.client.start('culvert daemon', [...words, '--socket', this.#socket]);
    this.#keep(daemon);
    await untilAnswers(daemon, () => this.status(), readyMs);
    await this.#control().call('changeSettings', {
      'portal.detection': false,
      mode: 'tunnel_only',
      'tunnel.interface': `cvc${process.pid}`,
    });
    await this.#culvert('import', file, '--name', 'demo');
  }

  async connect(): Promise<void> {
    await this.#culvert('connect', '--wait', '--timeout', '20s');
  }

  status(): Promise<Status> {
    return this.#control().call('status');
  }

  edgeView(): Promise<EdgeView> {
    return askEdge(join(this.#edgeFolder, 'control.sock'));
  }

  /** Opens a page from the client's network. */
  async visit(url: string): Promise<Visit> {
    return (await this.#visitor('get', url)) as Visit;
  }

  async measure(): Promise<Measured> {
    return (await this.#visitor('measure', pageV4, String(measureMs))) as Measured;
  }

  /** Ends the programs, the last one first, and removes everything. Idempotent. */
  async clear(): Promise<void> {
    for (const child of this.#children.toReversed()) await child.end();
    await this.#lab.down();
  }

  get #socket(): string {
    return join(this.#clientFolder, 'control.sock');
  }

  #control(): ControlClient {
    return new ControlClient(this.#socket);
  }

  #keep(child: Child): Child {
    this.#children.push(child);
    return child;
  }

  async #culvert(...words: string[]): Promise<void> {
    await this.#lab.client.run(programPath('culvert'), [...words, '--socket', this.#socket], {
      timeoutMs: 2 * readyMs,
    });
  }

  async #visitor(...words: string[]): Promise<unknown> {
    const script = join(scripts, 'visitor-program.ts');
    const { stdout } = await this.#lab.client.run(process.execPath, [script, ...words], {
      timeoutMs: readyMs,
    });
    return JSON.parse(stdout);
  }
}
