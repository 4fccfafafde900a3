/**
 * Puts the parts of registration together for a running edge: store, certificate, the sync that makes the
 * tunnel follow, the API and its ports. Also opens the store for a command line without a daemon.
 */

import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { AcmeStatus } from '../acme/renewal.ts';
import { ActivityCounts, type EdgeActivity } from '../admin/activity.ts';
import type { AcmeConfig } from '../config-acme.ts';
import { type OutsideAnswer, OutsideDesk } from '../doctor/outside.ts';
import type { DeviceLimits } from '../peers/device-limits.ts';
import type { DeviceRecord, PeerStore } from '../peers/store.ts';
import { openSqliteStore } from '../peers/store-sqlite.ts';
import { DeviceSync, lookEveryMs } from '../peers/sync.ts';
import type { DeviceChanges } from '../peers/sync-plan.ts';
import { UdpStreams } from '../transport/udp-streams.ts';
import { Administration, type AdministrationParts } from './administration.ts';
import {
  type CertificateFiles,
  type EdgeCertificate,
  loadCertificate,
  readOrCreateCertificate,
} from './certificate.ts';
import { listenCertified } from './certified-listener.ts';
import { ConfigEvents } from './config-events.ts';
import { deviceConfig } from './device-config.ts';
import type { DeviceMethodsParts } from './device-methods.ts';
import type { AskPaths } from './device-paths.ts';
import type { EdgeFacts } from './edge-facts.ts';
import { FeedbackDesk } from './feedback-desk.ts';
import { createRegistrationApi, type RegistrationLimits } from './server.ts';

/** What the rest of the edge knows; ports and pin are known here. */
export type OwnFacts = Omit<EdgeFacts, 'httpsPorts' | 'pin'>;

export interface RegistrationStart {
  readonly dataFolder: string;
  readonly identity: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };
  readonly facts: () => OwnFacts;
  readonly tunnel: Pick<TunnelBackend, 'configure' | 'onEvent'>;
  /** New peers begin with their limits. Default: none have any. */
  readonly deviceLimits?: Pick<DeviceLimits, 'onPeers'>;
  /** After the tunnel has followed: flows and sockets of cut devices, limits and paths of changed ones. */
  readonly onChanges: (changes: DeviceChanges) => Promise<void>;
  readonly httpsPorts: readonly number[];
  /** Default: all addresses. */
  readonly httpsHost?: string;
  /** Default: one made here. */
  readonly certificateFiles?: CertificateFiles;
  /** Has the one made here signed by an authority; where absent nobody does. */
  readonly acme?: AcmeConfig;
  /** The device whose tunnel a connection came through: for connections that the gateway gives to `handler`. */
  readonly tunnelDevice?: (connection: Duplex) => string | undefined;
  /** Where devices' questions about paths go; absent: nobody measures them. */
  readonly askPaths?: AskPaths;
  /** What the tunnel saw of a device; absent: nobody looks. */
  readonly sight?: DeviceMethodsParts['sight'];
  readonly limits?: Partial<RegistrationLimits>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly version: string;
  /** Default: setInterval. Returns what ends it. */
  readonly every?: (periodMs: number, run: () => void) => () => void;
}

export interface RunningRegistration {
  readonly store: PeerStore;
  readonly sync: DeviceSync;
  readonly administration: Administration;
  /** The API for any HTTP server, as of the gateway inside the tunnel. */
  readonly handler: RequestListener;
  /** Those that are served. */
  readonly httpsPorts: readonly number[];
  /** The one that is served now. */
  readonly certificate: () => EdgeCertificate;
  /** Undefined where no authority is asked. */
  readonly acme: () => AcmeStatus | undefined;
  /** Has a device try the ports of this edge. Never rejects. */
  readonly lookFromOutside: () => Promise<OutsideAnswer>;
  activity(): EdgeActivity;
  /** Tells devices that follow what is other for them now. Never rejects. */
  pushChanges(): Promise<void>;
  /** Tells devices that follow that the edge ends. True where there were any: give the words time to leave. */
  announceStop(): boolean;
  /** Ends the ports first and the store last. Idempotent. */
  close(): Promise<void>;
}

const storeName = 'store.db';
const peersPerMessage = 500;
const purgeEveryMs = 10 * minuteMs;

export function storePath(dataFolder: string): string {
  return join(dataFolder, storeName);
}

/** Throws CulvertError; nothing is left open then. The tunnel has every device when it resolves. */
export async function startRegistration(start: RegistrationStart): Promise<RunningRegistration> {
  const { clock, log, every = interval } = start;
  const undo: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    const store = openSqliteStore(storePath(start.dataFolder));
    undo.push(() => store.close());
    const own = certificateOf(start);
    await store.purge(clock.unix());
    let pushChanges = (): Promise<void> => Promise.resolve();
    const apply = async (changes: DeviceChanges): Promise<void> => {
      await applyTo(start)(changes);
      void pushChanges();
    };
    const sync = await DeviceSync.start({ store, apply, unixNow: () => clock.unix(), log });
    const counts = new ActivityCounts();
    undo.push(...follow(start, store, sync, counts));
    let httpsPorts = start.httpsPorts;
    const facts = (): EdgeFacts => ({ ...start.facts(), httpsPorts, pin: own.pin });
    const events = new ConfigEvents({
      revisionOf: async (id) =>
        revisionOf(await store.device(id), facts(), start.identity.publicKey, clock.unix()),
      every,
    });
    undo.push(() => void events.stop());
    const outside = new OutsideDesk({ tell: (event) => events.tellOne(event), entropy: start.entropy });
    pushChanges = () => events.check();
    const api = await createRegistrationApi({
      events,
      onAnswer: (method, route, status) => counts.countRequest(method, route, status),
      ...parts(start, store, facts),
      onWrite: () => sync.nudge(),
      onSession: (id, session) => sync.openSession(id, session),
      askPaths: start.askPaths,
      sight: start.sight,
      onOutside: (device, report) => outside.handleReport(device, report),
      suite: nativeDhSuite,
      identity: start.identity,
      log,
      monoNow: () => clock.now(),
      version: start.version,
      ...(start.limits === undefined ? {} : { limits: start.limits }),
      ...(start.tunnelDevice === undefined ? {} : { tunnelDevice: start.tunnelDevice }),
    });
    undo.push(() => api.close());
    const udpStreams = new UdpStreams({ own: start.facts, log });
    const https = await listenCertified({ start, own, handler: api.handler, udpStreams, every });
    undo.push(() => https.close());
    httpsPorts = https.ports;
    const { handler, administration } = api;
    const activity = (): EdgeActivity => counts.read(events.size);
    const told = { activity, pushChanges, announceStop: () => events.stop() };
    const lookFromOutside = (): Promise<OutsideAnswer> => outside.ask(https.ports);
    const current = { ...told, certificate: () => https.certificate(), acme: () => https.acme() };
    return { store, sync, administration, handler, httpsPorts, lookFromOutside, ...current, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

export type LocalAdministrationParts = Pick<
  AdministrationParts,
  'publicKey' | 'facts' | 'entropy' | 'unixNow'
> & {
  readonly dataFolder: string;
  /** Tells a daemon beside us, if there is one; default: it looks by itself ten times a second. */
  readonly onWrite?: () => Promise<void>;
};

/** For the command line, with or without a daemon on the same store: that looks for changes by itself. */
export function openAdministration(local: LocalAdministrationParts): {
  readonly administration: Administration;
  readonly feedback: FeedbackDesk;
  readonly store: PeerStore;
} {
  const store = openSqliteStore(storePath(local.dataFolder));
  const administration = new Administration({
    onWrite: () => Promise.resolve(),
    ...local,
    store,
  });
  return { administration, feedback: new FeedbackDesk({ ...local, store }), store };
}

function parts(
  start: RegistrationStart,
  store: PeerStore,
  facts: () => EdgeFacts,
): {
  readonly store: PeerStore;
  readonly facts: () => EdgeFacts;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
} {
  return { store, facts, entropy: start.entropy, unixNow: () => start.clock.unix() };
}

/** The one made here lies in the data folder and bears the name of the edge. */
export function certificateOf(
  start: Pick<RegistrationStart, 'dataFolder' | 'certificateFiles' | 'clock' | 'entropy'> & {
    readonly facts: () => Pick<OwnFacts, 'host'>;
  },
): EdgeCertificate {
  if (start.certificateFiles !== undefined) return loadCertificate(start.certificateFiles);
  const { host } = start.facts();
  return readOrCreateCertificate({
    keyFile: join(start.dataFolder, 'api.key'),
    certificateFile: join(start.dataFolder, 'api.crt'),
    names: host === undefined ? [] : [host],
    now: start.clock.unix(),
    entropy: start.entropy,
  });
}

/** Undefined where the device may not be here. */
function revisionOf(
  device: DeviceRecord | undefined,
  facts: EdgeFacts,
  edgeKey: Uint8Array,
  now: UnixMs,
): string | undefined {
  const isIn = device?.enabled === true && (device.expiresAt === undefined || device.expiresAt > now);
  return device !== undefined && isIn ? deviceConfig(facts, edgeKey, device).revision : undefined;
}

function applyTo(start: RegistrationStart): (changes: DeviceChanges) => Promise<void> {
  return async (changes) => {
    const { peers, changed } = changes;
    // In parts, in order: ten thousand at once are a message that both threads must hold whole.
    for (let i = 0; i < peers.length; i += peersPerMessage) {
      const part = peers.slice(i, i + peersPerMessage);
      await start.tunnel.configure({ peers: start.deviceLimits?.onPeers(part, changed) ?? part });
    }
    await start.onChanges(changes);
  };
}

/** Returns what ends it. */
function follow(
  start: RegistrationStart,
  store: PeerStore,
  sync: DeviceSync,
  counts: ActivityCounts,
): readonly (() => void)[] {
  const every = start.every ?? interval;
  return [
    start.tunnel.onEvent((event) => {
      if (event.kind === 'established') counts.countHandshake();
      if (event.kind === 'established' || event.kind === 'confirmed') void sync.heard(event.publicKey);
    }),
    every(lookEveryMs, () => void sync.look()),
    every(purgeEveryMs, () => {
      store.purge(start.clock.unix()).catch((cause: unknown) => {
        const why = cause instanceof Error ? cause.message : String(cause);
        start.log.warn('old entries of the store stay for now', { why });
      });
    }),
  ];
}

function interval(periodMs: number, run: () => void): () => void {
  const timer = setInterval(run, periodMs);
  return () => clearInterval(timer);
}
