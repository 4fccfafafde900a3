/** The daemon's pieces that find out what is wrong with a network or an edge; joined by daemon.ts. No logic. */

import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { encodeBase64 } from '../shared/core/base/bytes.ts';
import { type MonoMs, minuteMs } from '../shared/core/base/time.ts';
import type { DoctorReport, NetReport, NetRoutes } from '../shared/core/control/net-api.ts';
import type { DeviceDiagnosis } from '../shared/core/registration/diagnosis-api.ts';
import { maxOutsidePorts, type OutsidePort } from '../shared/core/registration/outside-api.ts';
import type { Clock } from '../shared/node/clock.ts';
import type { Handlers } from '../shared/node/control/socket-server.ts';
import { nativeDhSuite } from '../shared/node/crypto/native-dh.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { run } from '../shared/node/run.ts';
import { isDnsIntercepted, noResolver } from './diagnostics/dns-probe.ts';
import { faults, judgeFault } from './diagnostics/doctor-verdict.ts';
import { type ExaminedEdge, examineNet } from './diagnostics/examine.ts';
import type { NetFacts, TunnelFacts } from './diagnostics/net-facts.ts';
import { netLines } from './diagnostics/netcheck-lines.ts';
import { UdpProbe } from './diagnostics/udp-probe.ts';
import type { Driver } from './driver/driver.ts';
import { tunnelOf } from './driver/effects.ts';
import type { EdgeProfile, ProxyPort, TunnelPort } from './driver/ports.ts';
import type { LookEvent } from './enroll/config-follower.ts';
import { problemIn } from './enroll/edge-client.ts';
import { registeredClient } from './enroll/enrollment.ts';
import type { EnrollmentDesk } from './enroll/enrollment-desk.ts';
import { gatewayIn } from './enroll/gateway-address.ts';
import type { Registration, RegistrationStore } from './enroll/registrations.ts';
import type { Examination, ExamineOpening } from './host/firewall/examination.ts';
import { reachableAmong } from './host/network/netlink-source.ts';
import type { MtuKeeper } from './host/path-mtu.ts';
import { hasNetAdmin } from './host/privileges.ts';
import { tunnelMark } from './host/routes/plan.ts';
import { probesOf } from './portal/endpoints.ts';
import { connectMarked } from './portal/marked-socket.ts';
import { askEdge, askRound } from './portal/probe.ts';
import { judgePortal } from './portal/verdict.ts';
import { edgeProbe, networkLookUp } from './portal-side.ts';
import type { EdgeStore, StoredEdge } from './settings/edges.ts';
import type { KnownAddresses } from './settings/known-addresses.ts';
import type { SettingsStore } from './settings/store.ts';
import { waysOf } from './transport/edge-ways.ts';
import type { TransportDesk } from './transport/transport-desk.ts';

export interface DiagnoseParts {
  readonly driver: Driver;
  readonly tunnel: TunnelPort;
  readonly proxy: ProxyPort;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly registrations: RegistrationStore;
  readonly enrollment: EnrollmentDesk;
  readonly mtu: MtuKeeper;
  readonly signIn: { readonly servers: () => readonly string[] };
  readonly status: () => Promise<{
    readonly state: string;
    readonly edge?: { readonly transport: string };
    readonly verified?: { readonly rttMs?: number };
  }>;
  /** Where edges have proven to be. */
  readonly known: Pick<KnownAddresses, 'of'>;
  readonly transport: { readonly desk: Pick<TransportDesk, 'outside' | 'fault'> };
  readonly splitParts: { readonly examining: Pick<ExamineOpening, 'during'> };
  readonly clock: Clock;
}

/** What is needed to try one edge. */
export type EdgeParts = Omit<DiagnoseParts, 'mtu' | 'status' | 'splitParts'>;

const apiTimeoutMs = 4000;
const lookUpMs = 3000;
/** The edge remembers moves so long. */
const movesMs: number = 5 * minuteMs;
/** Of a network with IPv6 (RFC 3849); nothing is sent there. */
const anyIpv6 = '2001:db8::1';

/** One at a time: they would disturb each other's measurements. */
export function diagnoseHandlers(parts: DiagnoseParts): Pick<Handlers, keyof NetRoutes> {
  let last: Promise<unknown> = Promise.resolve();
  let probedAt: MonoMs | undefined;
  const examined = (): Promise<NetFacts> => {
    const next = last.then(() => {
      const lately = hasMoved(parts, probedAt);
      return parts.splitParts.examining.during(examinationOf(parts), () => examine(parts, lately));
    });
    last = next.then(
      () => (probedAt = parts.clock.now()),
      () => undefined,
    );
    return next;
  };
  return {
    netcheck: async () => reportOf(await examined()),
    doctor: async () => diagnosisOf(await examined()),
  };
}

function reportOf(facts: NetFacts): NetReport {
  return { lines: netLines(facts), facts: shown(facts) };
}

function diagnosisOf(facts: NetFacts): DoctorReport {
  const fault = judgeFault(facts);
  const [text, remedy] = faults[fault];
  return { ...reportOf(facts), fault, text, remedy };
}

/** Keys say nothing to a person, and addresses of ours are nobody else's business. */
function shown(facts: NetFacts): Readonly<Record<string, unknown>> {
  const { edge, ...rest } = facts;
  if (edge === undefined) return rest;
  const { api, ...others } = edge;
  if (api === undefined) return { ...rest, edge: others };
  const { ownKey: _own, edgeKey: _edge, before, after, ...told } = api;
  const seen = after ?? before;
  if (seen === undefined) return { ...rest, edge: { ...others, api: told } };
  const { publicKey: _public, edgeKey: _other, ...sight } = seen;
  return { ...rest, edge: { ...others, api: { ...told, seen: sight } } };
}

function examine(parts: DiagnoseParts, hasProbedLately: boolean): Promise<NetFacts> {
  const { driver, settings, signIn, clock } = parts;
  const mark = hasNetAdmin() ? tunnelMark : 0;
  const lookUp = networkLookUp(signIn.servers);
  return examineNet({
    families: () => familiesNow(mark),
    askPages: async () => {
      if (!settings.current['portal.detection']) return undefined;
      const probes = probesOf(settings.current['portal.probes']);
      return judgePortal(await askRound({ probes }, { lookUp, mark }, new AbortController().signal));
    },
    isDnsIntercepted: () => isDnsIntercepted({ entropy: systemEntropy(), mark }),
    tunnel: () => tunnelFacts(parts),
    edge: () => edgeFor(parts, mark),
    nudge: async () => {
      const { state } = driver;
      if ('reach' in state && state.reach !== 'dns') await tunnelOf(state.reach, parts).probe();
    },
    hasProbedLately: () => hasProbedLately,
    clock,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
}

/** Moves that the edge saw may be our own: probes, another way, a connection that was made a moment ago. */
function hasMoved({ driver, clock }: DiagnoseParts, probedAt: MonoMs | undefined): boolean {
  const isFresh = driver.state.kind !== 'connected' || clock.unix() - driver.since < movesMs;
  return isFresh || (probedAt !== undefined && clock.now() - probedAt < movesMs);
}

/** What the examination asks, for the firewall. */
function examinationOf(parts: DiagnoseParts): Examination {
  const { settings, signIn } = parts;
  const pages = settings.current['portal.detection']
    ? probesOf(settings.current['portal.probes']).map(({ port }) => port)
    : [];
  const servers = [...signIn.servers(), noResolver];
  const { edge, registration } = edgeMeant(parts);
  const filePort = edge?.config.peers[0]?.endpoint?.port;
  if (filePort === undefined) return { servers, tcpPorts: pages, udpPorts: [] };
  const ways = waysOf(registration, filePort);
  return {
    servers,
    tcpPorts: [
      ...pages,
      ...(ways?.httpsPorts ?? []),
      ...(registration === undefined ? [] : [registration.port]),
    ],
    udpPorts: ways?.udpPorts ?? [filePort],
  };
}

function familiesNow(mark: number): ReturnType<Parameters<typeof examineNet>[0]['families']> {
  const ways = reachableAmong([noResolver, anyIpv6], mark);
  const own = Object.values(networkInterfaces()).flatMap(
    (all) => all?.filter(({ internal }) => !internal) ?? [],
  );
  const ipv4 = ways === undefined ? own.some(({ family }) => family === 'IPv4') : ways.has(noResolver);
  const ipv6 = ways === undefined ? own.some(({ family }) => family === 'IPv6') : ways.has(anyIpv6);
  return { network: ipv4 || ipv6 || own.length > 0, ipv4, ipv6 };
}

async function tunnelFacts({ status, mtu, transport }: DiagnoseParts): Promise<TunnelFacts> {
  const { state, edge, verified } = await status();
  return {
    state,
    ...(edge === undefined ? {} : { transport: edge.transport }),
    ...(verified?.rttMs === undefined ? {} : { rttMs: verified.rttMs }),
    ...(mtu.reduced === undefined ? {} : { mtuReduced: mtu.reduced }),
    mtuBroken: mtu.isBroken,
    ...(transport.desk.fault === undefined ? {} : { udpFault: transport.desk.fault }),
  };
}

/** The one in use, else the one that the next `connect` takes. */
function edgeMeant({ driver, settings, edges, registrations }: EdgeParts): {
  readonly edge: StoredEdge | undefined;
  readonly registration: Registration | undefined;
} {
  const { state } = driver;
  const wanted = 'edge' in state && state.edge !== '' ? state.edge : settings.current.edge;
  const list = edges.list();
  const edge = list.find(({ name }) => name === wanted) ?? list[0];
  return { edge, registration: edge === undefined ? undefined : registrations.find(edge.name) };
}

function edgeFor(parts: EdgeParts, mark: number): ExaminedEdge | undefined {
  const { signIn, known, clock } = parts;
  const { edge, registration } = edgeMeant(parts);
  const [peer] = edge?.config.peers ?? [];
  const { privateKey } = edge?.config.interface ?? {};
  if (edge === undefined || peer?.endpoint === undefined || privateKey === undefined) return undefined;
  const { endpoint } = peer;
  const lookUp = networkLookUp(signIn.servers);
  const keys = {
    privateKey,
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey ?? new Uint8Array(32),
    disguise: edge.config.interface.disguise,
  };
  return {
    name: edge.name,
    byName: isIP(endpoint.host) === 0,
    udpPorts: waysOf(registration, endpoint.port)?.udpPorts ?? [endpoint.port],
    ownKey: encodeBase64(nativeDhSuite.publicKey(privateKey)),
    edgeKey: encodeBase64(peer.publicKey),
    address: async (isLied) => {
      const inUse = placeInUse(parts, edge.name);
      if (inUse !== undefined) return { address: inUse, isProven: true };
      if (isIP(endpoint.host) !== 0) return { address: endpoint.host, isProven: false };
      const proven = known.of(endpoint.host);
      const told =
        isLied && proven.length > 0 ? [] : await lookUp(endpoint.host, AbortSignal.timeout(lookUpMs));
      const address = told[0] ?? proven[0];
      return address === undefined ? undefined : { address, isProven: proven.includes(address) };
    },
    pathMtu: (address) => pathMtuTo(address, mark),
    openUdp: (address) => UdpProbe.open({ keys, address, mark, clock, entropy: systemEntropy() }),
    ...(registration === undefined ? {} : { api: apiOf(parts, edge, registration, mark) }),
  };
}

/** Where the tunnel is that works, outside of it. */
function placeInUse({ driver, transport }: EdgeParts, name: string): string | undefined {
  const { state } = driver;
  if (state.kind !== 'connected' || state.edge !== name) return undefined;
  const [place] = transport.desk.outside(state.endpoints);
  return place?.address.split('%')[0];
}

/** What the system keeps of what routers said. Undefined where they said nothing, or nobody can be asked. */
async function pathMtuTo(address: string, mark: number): Promise<number | undefined> {
  const marked = mark === 0 ? [] : ['mark', String(mark)];
  const { exitCode, stdout } = await run('ip', ['route', 'get', address, ...marked], { allowFailure: true });
  const found = exitCode === 0 ? /\bmtu (?:lock )?(\d+)/.exec(stdout)?.[1] : undefined;
  return found === undefined ? undefined : Number(found);
}

/** Through the tunnel where all traffic takes it, else outside with the daemon's mark. */
function apiOf(
  parts: EdgeParts,
  edge: EdgeProfile,
  registration: Registration,
  mark: number,
): NonNullable<ExaminedEdge['api']> {
  const { driver, edges, registrations, enrollment, signIn } = parts;
  const lookUp = networkLookUp(signIn.servers);
  const outside = async (port: number): Promise<DeviceDiagnosis> => {
    const [address = registration.host] = await lookUp(registration.host, AbortSignal.timeout(lookUpMs));
    const client = registeredClient(
      { ...registration, host: address, port },
      {
        timeoutMs: apiTimeoutMs,
        ...(isIP(address) === 0
          ? {}
          : { open: (place) => connectMarked({ address, port: place.port }, mark) }),
      },
    );
    try {
      return await client.call('diagnosis');
    } finally {
      client.close();
    }
  };
  return {
    diagnose: async () => {
      if (gatewayIn(driver.state, edges, edge.name) === undefined) return outside(registration.port);
      try {
        return await enrollment.call(edge.name, 'diagnosis');
      } catch (error) {
        // A tunnel may be dead that is still believed in.
        if (problemIn(error) !== undefined) throw error;
        return outside(registration.port);
      }
    },
    meet: async () => {
      const probe = edgeProbe(registrations, edge.name);
      const signal = AbortSignal.timeout(apiTimeoutMs);
      return probe === undefined ? { kind: 'silent' } : askEdge(probe, { lookUp, mark }, signal);
    },
  };
}

/**
 * The edge asked what of it can be reached from here: tries its HTTPS ports and our UDP port at the address that this
 * machine enrolled with, outside the tunnel, and tells. Never rejects.
 */
export async function lookFromOutside(parts: EdgeParts, name: string, asked: LookEvent): Promise<void> {
  const { driver, enrollment, registrations, signIn } = parts;
  const mark = hasNetAdmin() ? tunnelMark : 0;
  const probe = edgeProbe(registrations, name);
  const edge = edgeFor(parts, mark);
  if (probe === undefined || edge?.name !== name) return;
  const lookUp = networkLookUp(signIn.servers);
  const https = await Promise.all(
    asked.httpsPorts.slice(0, maxOutsidePorts).map(async (port): Promise<OutsidePort> => {
      const signal = AbortSignal.timeout(apiTimeoutMs);
      const met = await askEdge({ ...probe, port }, { lookUp, mark }, signal);
      return { protocol: 'https', port, answer: outsideAnswers[met.kind] ?? 'silent' };
    }),
  );
  const udp = await udpFromOutside(edge);
  const { state } = driver;
  if ('reach' in state && state.reach !== 'dns')
    await tunnelOf(state.reach, parts)
      .probe()
      .catch(() => undefined);
  // An edge that does not hear it asks again.
  await enrollment
    .call(name, 'tellOutside', { id: asked.id, ports: [...udp, ...https] })
    .catch(() => undefined);
}

const outsideAnswers: Readonly<Record<string, OutsidePort['answer']>> = {
  edge: 'edge',
  impostor: 'other',
  garbage: 'other',
};

async function udpFromOutside(edge: ExaminedEdge): Promise<readonly OutsidePort[]> {
  const [port] = edge.udpPorts;
  const found = await edge.address(false).catch(() => undefined);
  if (port === undefined || found === undefined) return [];
  const probe = await edge.openUdp(found.address).catch(() => undefined);
  if (probe === undefined) return [];
  const { answer } = await probe.ask(port);
  probe.close();
  const isEdge = answer === 'handshake' || answer === 'cookie';
  return [{ protocol: 'udp', port, answer: isEdge ? 'edge' : answer === 'refused' ? 'refused' : 'silent' }];
}
