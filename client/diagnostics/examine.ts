/**
 * Finds out about the network and the way to an edge: pages, DNS, datagrams, the edge's own view of them. Everything leaves
 * outside the tunnel with the daemon's mark, so that the firewall decides; nothing but the network and the edge is asked.
 * Changes nothing. doctor-verdict.ts and netcheck-lines.ts say what it means.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { DeviceDiagnosis } from '../../shared/core/registration/diagnosis-api.ts';
import type { ProblemCode } from '../../shared/core/registration/problem.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { problemIn } from '../enroll/edge-client.ts';
import type { ProbeAnswer } from '../portal/reply.ts';
import type { PortalVerdict } from '../portal/verdict.ts';
import type { ApiFacts, EdgeFactsHere, Mapping, NetFacts, TunnelFacts, UdpFacts } from './net-facts.ts';
import type { UdpProbe } from './udp-probe.ts';

export interface ExamineParts {
  readonly families: () => { readonly network: boolean; readonly ipv4: boolean; readonly ipv6: boolean };
  /** Undefined where the user wants no such questions. */
  readonly askPages: () => Promise<PortalVerdict | undefined>;
  /** Undefined where it could not be asked. */
  readonly isDnsIntercepted: () => Promise<boolean | undefined>;
  readonly tunnel: () => Promise<TunnelFacts>;
  /** Undefined where no edge is known. */
  readonly edge: () => ExaminedEdge | undefined;
  /** After the probes, so that the edge hears the tunnel's own socket again. */
  readonly nudge: () => Promise<void>;
  /** Within five minutes: then the moves that the edge saw are our own. */
  readonly hasProbedLately: () => boolean;
  readonly clock: Clock;
  readonly wait: (ms: number) => Promise<void>;
}

export interface ExaminedEdge {
  readonly name: string;
  /** The one of its file first. */
  readonly udpPorts: readonly number[];
  readonly ownKey: string;
  readonly edgeKey: string;
  readonly byName: boolean;
  /**
   * Undefined where its name is not known. `isLied`: the network answers for all name servers, so where the edge was
   * before is believed rather than its word.
   */
  readonly address: (isLied: boolean) => Promise<FoundAddress | undefined>;
  /** The largest IP packet that the way takes, as far as the system was told. */
  readonly pathMtu: (address: string) => Promise<number | undefined>;
  readonly openUdp: (
    address: string,
  ) => Promise<Pick<UdpProbe, 'ask' | 'sendUseless' | 'close' | 'localPort'>>;
  /** Absent where nobody enrolled there. */
  readonly api?: {
    readonly diagnose: () => Promise<DeviceDiagnosis>;
    /** Who answers at its HTTPS port. */
    readonly meet: () => Promise<ProbeAnswer>;
  };
}

export interface FoundAddress {
  /** Numeric. */
  readonly address: string;
  /** The edge has proven to be there. */
  readonly isProven: boolean;
}

/** Ports that are tried; an edge has three. */
const maxPorts = 4;
/** The edge takes no two handshakes at once. */
const betweenMs = 120;
const lossQuestions = 5;
const lossPatienceMs = 800;
/** The edge looks at its counters twice a second. */
const countedMs = 700;
/** Translations that are forgotten so soon are no good for anybody. */
const idleMs = 2000;
/** As long as the tunnel's largest datagram with an MTU of 1420. */
const largeBytes = 1452;
const smallBytes = 200;
/** How many of so many arrive; twice, where some are missing: a busy machine loses some, too. */
const tallyCount = 200;
const tallyBytes = 36;
const tallyBurst = 5;
const tallyBetweenMs = 10;

export async function examineNet(parts: ExamineParts): Promise<NetFacts> {
  const families = parts.families();
  if (!families.network) return { ...families, tunnel: await parts.tunnel() };
  const [pages, dnsIntercepted] = await Promise.all([parts.askPages(), parts.isDnsIntercepted()]);
  const found = parts.edge();
  const edge = found === undefined ? undefined : await examineEdge(found, dnsIntercepted === true, parts);
  return {
    ...families,
    ...(pages === undefined ? {} : { pages }),
    ...(dnsIntercepted === undefined ? {} : { dnsIntercepted }),
    tunnel: await parts.tunnel(),
    ...(edge === undefined ? {} : { edge }),
  };
}

async function examineEdge(edge: ExaminedEdge, isLied: boolean, parts: ExamineParts): Promise<EdgeFactsHere> {
  const { name, byName } = edge;
  const found = await edge.address(isLied).catch(() => undefined);
  const before = await askApi(edge, parts);
  if (found === undefined) {
    return { name, byName, udp: [], ...(before === undefined ? {} : { api: before }) };
  }
  const { address, isProven } = found;
  const udpPorts = [...new Set([...edge.udpPorts, ...(before?.before?.udpPorts ?? [])])];
  const tried = await tryUdp({ ...edge, udpPorts }, address, parts);
  await parts.nudge().catch(() => undefined);
  const after = before?.before === undefined ? undefined : await edge.api?.diagnose().catch(() => undefined);
  const api = before === undefined || after === undefined ? before : { ...before, after };
  const pathMtu = await edge.pathMtu(address).catch(() => undefined);
  const moves = parts.hasProbedLately() ? undefined : before?.before?.tunnel?.moves;
  return {
    name,
    address,
    byName,
    isProven,
    ...tried,
    ...(pathMtu === undefined ? {} : { pathMtu }),
    ...(moves === undefined ? {} : { moves }),
    ...(api === undefined ? {} : { api }),
  };
}

/** Undefined where nobody enrolled there. */
async function askApi(
  { api, ownKey, edgeKey }: ExaminedEdge,
  { clock }: ExamineParts,
): Promise<ApiFacts | undefined> {
  if (api === undefined) return undefined;
  const keys = { ownKey, edgeKey };
  const began = clock.now();
  try {
    const before = await api.diagnose();
    const ms = clock.now() - began;
    // Half of the way is behind the edge's word.
    const clockAheadMs = Math.round(clock.unix() - ms / 2 - Date.parse(before.now));
    return { answer: 'answered', ms, clockAheadMs, before, ...keys };
  } catch (error) {
    const problem: ProblemCode | undefined = problemIn(error);
    if (problem !== undefined) return { answer: 'refused', problem, ...keys };
    const isOther = error instanceof CulvertError && error.code === 'edge-refused';
    if (isOther) return { answer: 'refused', ...keys };
    const met = await api.meet();
    if (met.kind !== 'impostor') return { answer: 'silent', ...keys };
    return { answer: 'impostor', ...(met.issuer === undefined ? {} : { issuer: met.issuer }), ...keys };
  }
}

type Tried = Omit<EdgeFactsHere, 'name' | 'address' | 'byName' | 'isProven' | 'pathMtu' | 'moves' | 'api'>;

async function tryUdp(edge: ExaminedEdge, address: string, parts: ExamineParts): Promise<Tried> {
  const probe = await edge.openUdp(address).catch(() => undefined);
  if (probe === undefined) return { udp: [] };
  try {
    const udp: UdpFacts[] = [];
    const seenAs: string[] = [];
    for (const port of edge.udpPorts.slice(0, maxPorts)) {
      const answer = await probe.ask(port);
      udp.push({ port, ...answer });
      if (answer.answer === 'handshake') {
        // The edge may have looked at its counters a moment before.
        await parts.wait(countedMs);
        const endpoint = await seenNow(edge);
        if (endpoint !== undefined) seenAs.push(endpoint);
      } else await parts.wait(betweenMs);
    }
    const good = udp.find(({ answer }) => answer === 'handshake');
    if (good === undefined) return { udp };
    const lossPercent = await lossAt(probe, good.port, parts);
    const largeArrives = await largeArrivesAt(edge, probe, good.port, parts);
    const uplinkLossPercent =
      largeArrives === true ? await uplinkLossAt(edge, probe, good.port, parts) : undefined;
    const mapping = mappingOf(seenAs, probe.localPort);
    const mappingHolds = await holdsAt(edge, probe, good.port, parts);
    return {
      udp,
      lossPercent,
      ...(mappingHolds === undefined ? {} : { mappingHolds }),
      ...(uplinkLossPercent === undefined ? {} : { uplinkLossPercent }),
      ...(mapping === undefined ? {} : { mapping }),
      ...(largeArrives === undefined ? {} : { largeArrives }),
    };
  } finally {
    probe.close();
  }
}

async function lossAt(probe: Pick<UdpProbe, 'ask'>, port: number, { wait }: ExamineParts): Promise<number> {
  let lost = 0;
  for (let i = 0; i < lossQuestions; i++) {
    await wait(betweenMs);
    const { answer } = await probe.ask(port, lossPatienceMs);
    if (answer === 'silent') lost += 1;
  }
  return (100 * lost) / lossQuestions;
}

/** Undefined where the edge does not count such packets, so that nothing is known. */
async function largeArrivesAt(
  { api }: ExaminedEdge,
  probe: Pick<UdpProbe, 'sendUseless'>,
  port: number,
  { wait }: ExamineParts,
): Promise<boolean | undefined> {
  if (api === undefined) return undefined;
  const counted = async (size: number): Promise<boolean | undefined> => {
    const before = await count(api);
    for (let i = 0; i < 3; i++) probe.sendUseless(port, size);
    await wait(countedMs);
    const after = await count(api);
    return before === undefined || after === undefined ? undefined : after > before;
  };
  return (await counted(smallBytes)) === true ? counted(largeBytes) : undefined;
}

/** Where the edge sees this device. */
async function seenNow({ api }: ExaminedEdge): Promise<string | undefined> {
  return (await api?.diagnose().catch(() => undefined))?.tunnel?.endpoint;
}

/** The same socket to the same port, with pauses. Three places, since the tunnel may be seen in between once. */
async function holdsAt(
  edge: ExaminedEdge,
  probe: Pick<UdpProbe, 'ask'>,
  port: number,
  { wait }: ExamineParts,
): Promise<boolean | undefined> {
  const seen = new Set<string>();
  for (let i = 0; i < 3; i++) {
    await wait(i === 0 ? 0 : idleMs);
    const { answer } = await probe.ask(port, lossPatienceMs);
    await wait(countedMs);
    const place = answer === 'handshake' ? await seenNow(edge) : undefined;
    if (place === undefined) return undefined;
    seen.add(place);
    if (i === 1 && seen.size === 1) return true;
  }
  return seen.size < 3;
}

/** The lower of two tallies, or the first where nothing is missing. */
async function uplinkLossAt(
  { api }: ExaminedEdge,
  probe: Pick<UdpProbe, 'sendUseless'>,
  port: number,
  { wait }: ExamineParts,
): Promise<number | undefined> {
  if (api === undefined) return undefined;
  let least: number | undefined;
  for (let round = 0; round < 2; round++) {
    const before = await count(api);
    for (let sent = 0; sent < tallyCount; sent += tallyBurst) {
      for (let i = 0; i < tallyBurst; i++) probe.sendUseless(port, tallyBytes);
      await wait(tallyBetweenMs);
    }
    await wait(countedMs);
    const after = await count(api);
    if (before === undefined || after === undefined || after < before) return least;
    // Others may send useless ones, too.
    const lost = Math.max(0, tallyCount - (after - before));
    least = Math.min(least ?? 100, (100 * lost) / tallyCount);
    if (least === 0) return 0;
  }
  return least;
}

async function count(api: NonNullable<ExaminedEdge['api']>): Promise<number | undefined> {
  return (await api.diagnose().catch(() => undefined))?.refused['wrong-length'];
}

function mappingOf(seenAs: readonly string[], localPort: number): Mapping | undefined {
  const [first] = seenAs;
  if (first === undefined) return undefined;
  if (seenAs.some((one) => one !== first)) return 'varies';
  return first.endsWith(`:${localPort}`) ? 'none' : 'stable';
}
