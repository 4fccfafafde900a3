/**
 * Finds the daemon to talk to, and starts one where a command may (product.md §5).
 */

import { spawn } from 'node:child_process';
import { CulvertError, type ErrorCode } from '../../shared/core/control/codes.ts';
import { candidateSockets, defaultSocket, defaultStateDir } from '../../shared/node/control/places.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import { sleeperEnv, sleeperFlags } from '../../shared/node/heap.ts';
import type { CliContext, SharedFlags } from './context.ts';

/** A daemon on a slow machine needs a second or two. */
const startTimeoutMs = 20_000;

/** What a daemon that was started by us says over its channel. */
export type StartReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly text: string; readonly remedy: string };

/** Throws 'daemon-not-running', with the line that starts one, or 'no-permission'. */
export async function findDaemon(context: CliContext, flags: SharedFlags): Promise<ControlClient> {
  const paths = flags.socket === undefined ? candidateSockets(context.account) : [flags.socket];
  let problem: Error | undefined;
  for (const path of paths) {
    const client = new ControlClient(path);
    try {
      await client.call('status');
      return client;
    } catch (error) {
      if (!isAbsent(error)) problem ??= error instanceof Error ? error : new Error(String(error));
    }
  }
  throw problem ?? new CulvertError('daemon-not-running', { remedy: `Start it: ${startLine(flags)}` });
}

/** The daemon that answers, else one that is started now for this user, and said. */
export async function needDaemon(context: CliContext, flags: SharedFlags): Promise<ControlClient> {
  try {
    return await findDaemon(context, flags);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  const stateDir = defaultStateDir(context.account);
  const socket = flags.socket ?? defaultSocket(context.account, stateDir);
  const pid = await startDetached(context.entry, { stateDir, socket });
  context.note(`No daemon was running: started one (process ${pid}, socket ${socket}).`);
  return new ControlClient(socket);
}

/** Starts a daemon that outlives us; resolves with its process id once its sockets exist. */
export function startDetached(entry: string, places: { stateDir: string; socket: string }): Promise<number> {
  const words = [entry, 'daemon', '--foreground', '--state-dir', places.stateDir, '--socket', places.socket];
  const child = spawn(process.execPath, [...sleeperFlags, ...words], {
    detached: true,
    cwd: '/',
    env: { ...sleeperEnv, ...process.env },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  return new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGTERM');
      reject(new CulvertError('timeout', { text: 'The daemon did not get ready in time.' }));
    }, startTimeoutMs);
    child.once('error', (cause) =>
      reject(new CulvertError('command-failed', { text: cause.message, cause })),
    );
    child.once('exit', (code, signal) =>
      reject(new CulvertError('internal', { text: `The daemon ended at once (${signal ?? code}).` })),
    );
    child.once('message', (report: StartReport) => {
      clearTimeout(timer);
      if (report.kind === 'ready') resolve(child.pid ?? 0);
      else reject(new CulvertError(report.code, { text: report.text, remedy: report.remedy }));
    });
  }).finally(() => {
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  });
}

function startLine(flags: SharedFlags): string {
  return flags.socket === undefined ? 'culvert daemon' : `culvert daemon --socket ${flags.socket}`;
}

function isAbsent(error: unknown): boolean {
  return error instanceof CulvertError && error.code === 'daemon-not-running';
}
