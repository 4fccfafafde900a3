/**
 * The demonstration of a whole device: builds three hosts on this machine, connects the real client through the
 * real edge, proves it with real pages over both families. Needs root and Linux.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Status } from '../../shared/core/control/status.ts';
import { labAddresses, sweepDeadLabs } from '../../shared/node/lab/topology.ts';
import { checkLabNeeds } from '../lab/needs.ts';
import { demoDevice } from './demo-keys.ts';
import type { Demonstration } from './demonstration.ts';
import { farewell, type Look } from './screen.ts';
import type { Steps } from './steps.ts';
import * as screen from './whole-device-screen.ts';
import { pageV4, pageV6, type Visit, WholeDeviceStage } from './whole-device-stage.ts';

/** Throws CulvertError where this demonstration cannot run here. */
export function checkWholeDevice(): void {
  checkLabNeeds({
    what: 'The demonstration of a whole device',
    asRoot: 'Run: sudo npm start -- --whole-device; or without root: npm start',
    elsewhere: 'Without --whole-device: npm start',
  });
}

export class WholeDeviceDemonstration implements Demonstration {
  readonly #look: Look;
  #building: Promise<WholeDeviceStage> | undefined;
  #stage: WholeDeviceStage | undefined;

  constructor(look: Look) {
    this.#look = look;
  }

  get headline(): string {
    return screen.headline(this.#look);
  }

  get farewell(): string {
    return farewell(this.#look);
  }

  invitation(): string {
    return screen.tryIt(this.#look, this.#need().clientNamespace, pageV4);
  }

  async sweep(): Promise<boolean> {
    return (await sweepDeadLabs()) > 0;
  }

  async play(steps: Steps): Promise<string> {
    const stage = await this.#build(steps);
    await steps.step('before: you cannot reach the web server', () => mustNotLoad(stage));
    await steps.step('your edge is ready            culvert-edge run', () => stage.startEdge());
    await steps.step('your client knows the edge    culvert import demo.conf', () => stage.startClient());
    const began = performance.now();
    await steps.step('you are connected             culvert connect', () => stage.connect());
    const connectMs = performance.now() - began;
    const v4 = await steps.step(
      'a page over IPv4',
      () => mustLoad(stage, pageV4, labAddresses.upstream),
      loadMs,
    );
    const v6 = await steps.step(
      'a page over IPv6',
      () => mustLoad(stage, pageV6, labAddresses.upstreamV6),
      loadMs,
    );
    const measured = await steps.step('three seconds of traffic, as fast as it goes', () => stage.measure());
    const found: screen.Findings = {
      ...measured,
      ...(await count(stage)),
      connectMs,
      clientAddress: demoDevice.address,
      webAddress: labAddresses.inet,
      seenV4: v4.from ?? '',
      seenV6: v6.from ?? '',
    };
    return `${screen.picture(this.#look, found)}${screen.proof(this.#look, found)}`;
  }

  status(): Promise<Status> {
    return this.#need().status();
  }

  /** What is being built is waited for: half of it could not be taken away. */
  async clear(): Promise<void> {
    const stage = await this.#building?.catch(() => undefined);
    await stage?.clear();
  }

  async #build(steps: Steps): Promise<WholeDeviceStage> {
    const build = (): Promise<WholeDeviceStage> => (this.#building = WholeDeviceStage.build());
    this.#stage = await steps.step('three computers, and a wire between each two', build);
    return this.#stage;
  }

  #need(): WholeDeviceStage {
    if (this.#stage === undefined) throw new CulvertError('internal', { text: 'Nothing was built yet.' });
    return this.#stage;
  }
}

const loadMs = (visit: Visit): number => visit.ms ?? 0;

async function mustNotLoad(stage: WholeDeviceStage): Promise<void> {
  await stage.startWeb();
  for (const url of [pageV4, pageV6]) {
    const visit = await stage.visit(url);
    if (visit.ok)
      throw new CulvertError('internal', { text: `A page came through without a tunnel: ${url}` });
  }
}

async function mustLoad(stage: WholeDeviceStage, url: string, expected: string): Promise<Visit> {
  const visit = await stage.visit(url);
  if (!visit.ok)
    throw new CulvertError('no-reply', { text: `The page ${url} did not load: ${visit.why ?? ''}` });
  if (visit.from === expected) return visit;
  throw new CulvertError('internal', {
    text: `The web server saw ${visit.from}, not the edge's ${expected}.`,
  });
}

type Counted = Pick<
  screen.Findings,
  'sentBytes' | 'receivedBytes' | 'edgeReceivedBytes' | 'edgeSentBytes' | 'path' | 'handshakeMs'
>;

/** Both ends are asked at the same moment, after the traffic. */
async function count(stage: WholeDeviceStage): Promise<Counted> {
  const [{ traffic, verified }, edge] = await Promise.all([stage.status(), stage.edgeView()]);
  const device = edge.devices.find((one) => one.name === demoDevice.name);
  return {
    sentBytes: traffic.txBytes,
    receivedBytes: traffic.rxBytes,
    edgeReceivedBytes: device?.rxBytes ?? 0,
    edgeSentBytes: device?.txBytes ?? 0,
    path: device?.path ?? '',
    handshakeMs: verified?.handshakeMs,
  };
}
