/**
 * The stage of the demonstration without root: a real edge and a real client of this checkout, each with its own
 * temporary folder, joined over loopback. Shows nothing; proxy-demonstration.ts does.
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Status } from '../../shared/core/control/status.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import { Child } from '../../shared/node/lab/child.ts';
import { untilConnected } from '../cli/commands/connect.ts';
import { makeDemoFolder, removeDemoFolder } from './demo-folder.ts';
import { demoNetwork, gatewayAddresses, newKeys, peersLine, wgQuickFile } from './demo-keys.ts';
import { askEdge, type EdgeView } from './edge-view.ts';
import { programPath, untilAnswers } from './programs.ts';

export interface ProxyStageOptions {
  /** Whether the edge may ask public resolvers. */
  readonly internet: boolean;
}

export const loopback = '127.0.0.1';
const loopbackV6 = '::1';
/** What product.md promises; another one where somebody has it. */
const usualProxyPort = 40_000;
const readyMs = 20_000;
/** Somebody may take a port between our look and the edge's. */
const edgeAttempts = 3;

export class ProxyStage {
  readonly #options: ProxyStageOptions;
  readonly #folder: string = makeDemoFolder();
  readonly #keys = newKeys();
  readonly #starting: Promise<Child>[] = [];
  #isCleared = false;
  #edgePort = 0;
  #proxyPort = 0;

  constructor(options: ProxyStageOptions) {
    this.#options = options;
  }

  get edgePort(): number {
    return this.#edgePort;
  }

  get proxyPort(): number {
    return this.#proxyPort;
  }

  async startEdge(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#edgePort = await freeUdpPort();
      this.#writeEdgeFile();
      const words = [programPath('culvert-edge'), 'run', '--data', this.#edgeFolder];
      const edge = await this.#start('culvert-edge run', words);
      try {
        await edge.waitFor(/^ready$/m, readyMs);
        return;
      } catch (cause) {
        const wasTaken = `${edge.stdout}${edge.stderr}`.includes('port-in-use');
        if (attempt === edgeAttempts || !wasTaken) throw cause;
      }
    }
  }

  /** Starts the daemon, tells it mode and port, and gives it the edge. */
  async startClient(): Promise<void> {
    const words = [programPath('culvert'), 'daemon', '--foreground', '--state-dir', this.#clientFolder];
    const daemon = await this.#start('culvert daemon', [...words, '--socket', this.#socket]);
    await untilAnswers(daemon, () => this.status(), readyMs);
    this.#proxyPort = await freeProxyPort();
    const control = this.#control();
    await control.call('changeSettings', {
      mode: 'proxy',
      'proxy.port': this.#proxyPort,
      'portal.detection': this.#options.internet,
    });
    const { publicKey } = await this.edgeView();
    const conf = wgQuickFile({
      privateKey: this.#keys.privateKey,
      edgeKey: publicKey,
      endpoint: `${loopback}:${this.#edgePort}`,
      dns: gatewayAddresses,
    });
    await control.call('importEdge', { name: 'demo', conf });
  }

  /** Over the daemon's socket: a command that finds no daemon would start one that nobody ends. */
  async connect(): Promise<void> {
    const control = this.#control();
    await control.call('connect', {});
    await untilConnected(control, readyMs, { note: () => undefined });
  }

  status(): Promise<Status> {
    return this.#control().call('status');
  }

  edgeView(): Promise<EdgeView> {
    return askEdge(join(this.#edgeFolder, 'control.sock'));
  }

  /** Ends the programs, the last one first, and removes everything. Idempotent. */
  async clear(): Promise<void> {
    this.#isCleared = true;
    for (const starting of this.#starting.toReversed()) {
      const child = await starting.catch(() => undefined);
      await child?.end();
    }
    removeDemoFolder(this.#folder);
  }

  get #edgeFolder(): string {
    return join(this.#folder, 'edge');
  }

  get #clientFolder(): string {
    return join(this.#folder, 'client');
  }

  get #socket(): string {
    return join(this.#clientFolder, 'control.sock');
  }

  #writeEdgeFile(): void {
    const lines = [
      'name: demo',
      `endpoint: ${loopback}`,
      `listen: { udp: [${this.#edgePort}] }`,
      demoNetwork,
      'egress: { backend: userspace }',
      // Nobody is asked about names, unless the Internet was asked for.
      ...(this.#options.internet ? [] : ['dns: { upstreams: [] }']),
      peersLine(this.#keys.publicKey),
    ];
    writeFileSync(join(this.#edgeFolder, 'edge.yaml'), `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  #control(): ControlClient {
    return new ControlClient(this.#socket);
  }

  /** Remembered before it runs, so that `clear` misses none. */
  #start(name: string, words: readonly string[]): Promise<Child> {
    if (this.#isCleared) throw new CulvertError('internal', { text: 'The stage is cleared already.' });
    const starting = Child.start(name, words);
    this.#starting.push(starting);
    return starting;
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  try {
    socket.bind(0);
    await once(socket, 'listening');
    return socket.address().port;
  } finally {
    socket.close();
  }
}

/** The usual one where it is free on every loopback address that this machine has. */
async function freeProxyPort(): Promise<number> {
  for (const wanted of [usualProxyPort, 0, 0, 0]) {
    const port = await freeTcpPort(loopback, wanted);
    if (port !== undefined && (await freeTcpPort(loopbackV6, port)) !== undefined) return port;
  }
  throw new CulvertError('port-in-use', {
    text: 'No free port was found for the proxy.',
    remedy: 'End programs that listen on many ports, and try again.',
  });
}

async function freeTcpPort(host: string, wanted: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port: wanted, exclusive: true });
    await once(server, 'listening');
    const address = server.address();
    return address === null || typeof address === 'string' ? undefined : address.port;
  } catch (cause) {
    // Taken; or a family that this machine does not have, and then nobody can be there.
    return (cause as NodeJS.ErrnoException).code === 'EADDRINUSE' ? undefined : wanted;
  } finally {
    server.close();
  }
}
