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
import type { PeerStore } from '../peers/store.ts';
import { openSqliteStore } from '../peers/store-sqlite.ts';
import { DeviceSync, lookEveryMs } from '../peers/sync.ts';
import type { DeviceChanges } from '../peers/sync-plan.ts';
import { Administration, type AdministrationParts } from './administration.ts';
import {
  type CertificateFiles,
  type EdgeCertificate,
  loadCertificate,
  readOrCreateCertificate,
} from './certificate.ts';
import type { EdgeFacts } from './edge-facts.ts';
import { listenHttps } from './https-listener.ts';
import { createRegistrationApi, type RegistrationLimits } from './server.ts';

/** What the rest of the edge knows; ports and pin are known here. */
export type OwnFacts = Omit<EdgeFacts, 'httpsPorts' | 'pin'>;

export interface RegistrationStart {
  readonly dataFolder: string;
  readonly identity: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };
  readonly facts: () => OwnFacts;
  readonly tunnel: Pick<TunnelBackend, 'configure' | 'onEvent'>;
  /** After the tunnel has followed: flows and sockets of cut devices, limits and paths of changed ones. */
  readonly onChanges: (changes: DeviceChanges) => Promise<void>;
  readonly httpsPorts: readonly number[];
  /** Default: all addresses. */
  readonly httpsHost?: string;
  /** Default: one made here. */
  readonly certificateFiles?: CertificateFiles;
  /** The device whose tunnel a connection came through: for connections that the gateway gives to `handler`. */
  readonly tunnelDevice?: (connection: Duplex) => string | undefined;
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
  readonly certificate: EdgeCertificate;
  /** Ends the ports first and the store last. Idempotent. */
  close(): Promise<void>;
}

const storeName = 'store.db';
const purgeEveryMs = 10 * minuteMs;

export function storePath(dataFolder: string): string {
  return join(dataFolder, storeName);
}

/** Throws CulvertError; nothing is left open then. The tunnel has every device when it resolves. */
export async function startRegistration(start: RegistrationStart): Promise<RunningRegistration> {
  const { clock, log } = start;
  const undo: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    const store = openSqliteStore(storePath(start.dataFolder));
    undo.push(() => store.close());
    const certificate = certificateOf(start);
    await store.purge(clock.unix());
    const sync = await DeviceSync.start({ store, apply: applyTo(start), unixNow: () => clock.unix(), log });
    undo.push(...follow(start, store, sync));
    let httpsPorts = start.httpsPorts;
    const facts = (): EdgeFacts => ({ ...start.facts(), httpsPorts, pin: certificate.pin });
    const api = await createRegistrationApi({
      ...parts(start, store, facts),
      onWrite: () => sync.nudge(),
      suite: nativeDhSuite,
      identity: start.identity,
      log,
      monoNow: () => clock.now(),
      version: start.version,
      ...(start.limits === undefined ? {} : { limits: start.limits }),
      ...(start.tunnelDevice === undefined ? {} : { tunnelDevice: start.tunnelDevice }),
    });
    undo.push(() => api.close());
    const https = await listenHttps({
      handler: api.handler,
      certificate,
      ports: start.httpsPorts,
      log,
      ...(start.httpsHost === undefined ? {} : { host: start.httpsHost }),
    });
    undo.push(() => https.close());
    httpsPorts = https.ports;
    const { handler, administration } = api;
    return { store, sync, administration, handler, httpsPorts, certificate, close };
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
  readonly store: PeerStore;
} {
  const store = openSqliteStore(storePath(local.dataFolder));
  const administration = new Administration({
    onWrite: () => Promise.resolve(),
    ...local,
    store,
  });
  return { administration, store };
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

function applyTo(start: RegistrationStart): (changes: DeviceChanges) => Promise<void> {
  return async (changes) => {
    if (changes.peers.length > 0) await start.tunnel.configure({ peers: changes.peers });
    await start.onChanges(changes);
  };
}

/** Returns what ends it. */
function follow(start: RegistrationStart, store: PeerStore, sync: DeviceSync): readonly (() => void)[] {
  const every = start.every ?? interval;
  return [
    start.tunnel.onEvent((event) => {
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
