/** Where the edge of a command line is, and its store and administration, with or without a running edge. */

import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { unixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { askStatus, askToLook } from '../admin/client.ts';
import type { EdgeConfig } from '../config.ts';
import { loadConfig } from '../config-file.ts';
import { askHost, kernelMissing } from '../host/privileges.ts';
import { readOrCreateIdentity } from '../identity.ts';
import type { PeerStore } from '../peers/store.ts';
import { ownFacts } from '../plan.ts';
import type { Administration } from '../registration/administration.ts';
import type { FeedbackDesk } from '../registration/feedback-desk.ts';
import { certificateOf, openAdministration } from '../registration/start-registration.ts';
import { controlSocketName } from '../run-options.ts';

export interface SharedFlags {
  readonly data?: string;
  readonly config?: string;
  readonly json?: boolean;
}

export interface LocalEdge {
  readonly config: EdgeConfig;
  readonly administration: Administration;
  readonly feedback: FeedbackDesk;
  readonly store: PeerStore;
}

export function addSharedFlags(command: Command): Command {
  return command
    .option('--data <DIR>', 'keys, store and control socket', defaultDataFolder())
    .option('--json', 'data and errors as JSON')
    .helpOption('--help', 'print this help');
}

export function dataFolder(flags: SharedFlags): string {
  return resolve(flags.data ?? defaultDataFolder());
}

export function configPath(flags: SharedFlags): string {
  return flags.config === undefined ? join(dataFolder(flags), 'edge.yaml') : resolve(flags.config);
}

export function controlSocket(flags: SharedFlags): string {
  return join(dataFolder(flags), controlSocketName);
}

export function print(flags: SharedFlags, value: unknown, text: () => string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(value, null, 2)}\n` : text());
}

/** Opens the store, works, and closes it, whatever happens. A running edge sees the change by itself. */
export async function withEdge<T>(flags: SharedFlags, work: (edge: LocalEdge) => Promise<T>): Promise<T> {
  const folder = dataFolder(flags);
  const path = configPath(flags);
  if (!existsSync(path)) throw new CulvertError('no-edge-here', { text: `There is no edge in ${folder}.` });
  actAsOwner(folder);
  const { config } = loadConfig(path, folder, kernelMissing(askHost()));
  const edge = await openEdge(folder, config);
  try {
    return await work({ config, ...edge });
  } finally {
    edge.store.close();
  }
}

export async function openEdge(folder: string, config: EdgeConfig): Promise<Omit<LocalEdge, 'config'>> {
  const identity = readOrCreateIdentity(config.privateKeyFile);
  const own = ownFacts(config);
  const entropy = systemEntropy();
  const certificate = certificateOf({
    dataFolder: folder,
    ...(config.certificate === undefined ? {} : { certificateFiles: config.certificate }),
    clock: systemClock(),
    entropy,
    facts: () => own,
  });
  const httpsPorts = await portsOf(folder, config);
  return openAdministration({
    dataFolder: folder,
    publicKey: identity.publicKey,
    facts: () => ({ ...own, httpsPorts, pin: certificate.pin }),
    entropy,
    unixNow: () => unixMs(Date.now()),
    onWrite: () => askToLook(join(folder, controlSocketName)),
  });
}

/** Those that a running edge could open; of one that does not run, those that could be opened now come first. */
async function portsOf(folder: string, config: EdgeConfig): Promise<readonly number[]> {
  try {
    return (await askStatus(join(folder, controlSocketName))).listen.https;
  } catch {
    const open = await Promise.all(config.httpsPorts.map(mayListen));
    const usable = config.httpsPorts.filter((_, i) => open[i]);
    return usable.length > 0 ? usable : config.httpsPorts;
  }
}

function mayListen(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const probe = createServer();
    probe.once('error', () => answer(false));
    probe.listen(port, () => probe.close(() => answer(true)));
  });
}

/** Root works on the files of another user as that user, so that his edge can read them afterwards. */
export function actAsOwner(folder: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(folder);
  if (uid === 0) return;
  process.setegid?.(gid);
  process.seteuid?.(uid);
}

function defaultDataFolder(): string {
  return process.getuid?.() === 0 ? '/var/lib/culvert-edge' : join(homedir(), '.local/share/culvert-edge');
}
