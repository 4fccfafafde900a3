/**
 * The demonstration for everyone: an edge and a client on this machine without root, joined over loopback, and
 * real requests through the client's proxy. Contacts no public address unless it is told to.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Status } from '../../shared/core/control/status.ts';
import { sweepDemoFolders } from './demo-folder.ts';
import { demoDevice } from './demo-keys.ts';
import type { Demonstration } from './demonstration.ts';
import * as screen from './proxy-screen.ts';
import { loopback, ProxyStage } from './proxy-stage.ts';
import { countsAgree, farewell, type Look } from './screen.ts';
import type { Steps } from './steps.ts';
import { downloadBps, openPage, roundTripMs } from './through-proxy.ts';

export interface ProxyDemonstrationOptions {
  readonly look: Look;
  readonly internet: boolean;
}

const edgePage = 'http://edge.culvert/trace';
/** More than is ever read: it is cut off after `speedMs`. */
const speedPage = 'http://edge.culvert/speed?bytes=1000000000';
const speedMs = 1500;
const countTries = 10;
const countEveryMs = 100;
/** Answers with lines key=value, one of which is the address of whoever asks. */
const publicPage = 'https://one.one.one.one/cdn-cgi/trace';

export class ProxyDemonstration implements Demonstration {
  readonly #look: Look;
  readonly #internet: boolean;
  #stage: ProxyStage | undefined;

  constructor(options: ProxyDemonstrationOptions) {
    this.#look = options.look;
    this.#internet = options.internet;
  }

  get headline(): string {
    return screen.headline(this.#look, this.#internet);
  }

  get farewell(): string {
    return farewell(this.#look);
  }

  invitation(): string {
    return screen.howTo(this.#look, this.#need().proxyPort);
  }

  async sweep(): Promise<boolean> {
    return sweepDemoFolders() > 0;
  }

  async play(steps: Steps): Promise<string> {
    const stage = new ProxyStage({ internet: this.#internet });
    this.#stage = stage;
    await steps.step('your edge is ready            culvert-edge run', () => stage.startEdge());
    await steps.step('your client knows the edge    culvert import demo.conf', () => stage.startClient());
    await steps.step('before: no page loads', () => mustNotLoad(stage.proxyPort, edgePage));
    const began = performance.now();
    await steps.step('you are connected             culvert connect', () => stage.connect());
    const connectMs = performance.now() - began;
    const trace = await steps.step('a page of the edge, through proxy and tunnel', () => loadTrace(stage));
    await steps.step('closed: this machine itself, from behind the tunnel', () =>
      mustBeClosed(stage.proxyPort),
    );
    const publicAddress = this.#internet
      ? await steps.step('a public page, through proxy, tunnel and edge', () => loadPublic(stage))
      : undefined;
    const roundTrip = await steps.step(
      'a round trip',
      () => roundTripMs(stage.proxyPort, edgePage),
      (ms) => ms,
    );
    const downBps = await steps.step('a moment of traffic, as fast as it goes', () =>
      downloadBps(stage.proxyPort, speedPage, speedMs),
    );
    const found: screen.ProxyFindings = {
      ...(await count(stage)),
      proxyPort: stage.proxyPort,
      edgePort: stage.edgePort,
      trace,
      connectMs,
      roundTripMs: roundTrip,
      downBps,
      isRoot: process.getuid?.() === 0,
      publicAddress,
    };
    return `${screen.picture(this.#look, found)}${screen.proof(this.#look, found)}`;
  }

  status(): Promise<Status> {
    return this.#need().status();
  }

  async clear(): Promise<void> {
    await this.#stage?.clear();
  }

  #need(): ProxyStage {
    if (this.#stage === undefined) throw new CulvertError('internal', { text: 'Nothing was started yet.' });
    return this.#stage;
  }
}

async function mustNotLoad(proxyPort: number, url: string): Promise<void> {
  const page = await openPage(proxyPort, url).catch(() => undefined);
  // A proxy may say why in words of its own, but not with success.
  if (page === undefined || page.status >= 400) return;
  throw new CulvertError('internal', { text: `A page came through that should not: ${url}` });
}

async function loadTrace(stage: ProxyStage): Promise<ReadonlyMap<string, string>> {
  const page = await openPage(stage.proxyPort, edgePage);
  const trace = linesOf(page.text);
  if (page.status !== 200 || trace.get('device') !== demoDevice.name) {
    const text = `${edgePage} answered ${page.status} for device ${trace.get('device') ?? 'unknown'}.`;
    throw new CulvertError('internal', { text });
  }
  return trace;
}

async function loadPublic(stage: ProxyStage): Promise<string> {
  try {
    const page = await openPage(stage.proxyPort, publicPage);
    return linesOf(page.text).get('ip') ?? 'somebody';
  } catch (cause) {
    throw new CulvertError('no-reply', {
      text: cause instanceof Error ? cause.message : String(cause),
      remedy: "Check this machine's own connection; without --internet, npm start needs none.",
      cause,
    });
  }
}

/** A web server on this machine's loopback, which whoever is behind the tunnel must not reach. */
async function mustBeClosed(proxyPort: number): Promise<void> {
  const server = createServer((_request, response) => response.end('open\n'));
  try {
    server.listen({ host: loopback, port: 0 });
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new CulvertError('internal');
    await mustNotLoad(proxyPort, `http://${loopback}:${address.port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

type Counted = Pick<
  screen.ProxyFindings,
  'sentBytes' | 'receivedBytes' | 'edgeReceivedBytes' | 'edgeSentBytes' | 'handshakeMs'
>;

/** Both ends are asked at the same moment, until what was under way has arrived; for a moment at most. */
async function count(stage: ProxyStage): Promise<Counted> {
  for (let left = countTries; ; left--) {
    const [{ traffic, verified }, edge] = await Promise.all([stage.status(), stage.edgeView()]);
    const device = edge.devices.find((one) => one.name === demoDevice.name);
    const counted = {
      sentBytes: traffic.txBytes,
      receivedBytes: traffic.rxBytes,
      edgeReceivedBytes: device?.rxBytes ?? 0,
      edgeSentBytes: device?.txBytes ?? 0,
      handshakeMs: verified?.handshakeMs,
    };
    if (left === 0 || countsAgree(counted)) return counted;
    await new Promise((resolve) => setTimeout(resolve, countEveryMs));
  }
}

function linesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
}
