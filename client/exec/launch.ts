/**
 * Starts the network process, then turns this process into the command, in namespaces of its own. The two
 * know each other by one socket pair and afterwards by the interface alone:
 *
 *     culvert exec ── setsid ─▶ network process: netstack ─▶ local proxy ─▶ tunnel
 *          │ (same pid)                  ▲ interface
 *          └▶ unshare ─▶ inside-program ─┴▶ COMMAND
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type ProcessCalls, processCalls } from '../../shared/node/ffi/process-calls.ts';
import { SOCK_CLOEXEC } from '../../shared/node/ffi/structs.ts';
import { become } from './become.ts';
import { unshareWords } from './isolation.ts';
import type { CarrierSettings, InsideSettings } from './settings.ts';

const AF_UNIX = 1;
/** Keeps messages apart, and tells when the other side is gone. */
const SOCK_SEQPACKET = 5;
const setDescriptorFlags = 2;
const insideProgram = fileURLToPath(new URL('./inside-program.ts', import.meta.url));
const carrierProgram = fileURLToPath(new URL('./carrier-program.ts', import.meta.url));

export interface Launch {
  readonly carrier: Omit<CarrierSettings, 'pid'>;
  readonly inside: Omit<InsideSettings, 'socket' | 'ownUser'>;
  readonly ownUser: boolean;
  /** The program and its words. */
  readonly command: readonly string[];
}

/** Never resolves: this process has become another one. Rejects with CulvertError where it could not. */
export async function launch({ carrier, inside, ownUser, command }: Launch): Promise<never> {
  const calls = processCalls();
  const pair = calls?.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC);
  if (calls === undefined || pair === undefined) throw new CulvertError('ffi-unavailable');
  const [ours, theirs] = pair;
  await startCarrier(theirs);
  closeSync(theirs);
  const settings: CarrierSettings = { ...carrier, pid: process.pid };
  writeSync(ours, JSON.stringify(settings));
  const words = insideWords(calls, { ...inside, ownUser, socket: ours });
  return become([...words, ...command]);
}

function insideWords(calls: ProcessCalls, settings: InsideSettings): readonly string[] {
  calls.fcntl(settings.socket, setDescriptorFlags, 0);
  const inside = [process.execPath, insideProgram, JSON.stringify(settings)];
  return ['unshare', ...unshareWords(settings.ownUser), '--', ...inside];
}

/**
 * In a session of its own, so that the terminal's signals are not for it, and nobody's child, so that the
 * command has no child that it did not start.
 */
async function startCarrier(socket: number): Promise<void> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn('setsid', ['--fork', process.execPath, carrierProgram], {
    stdio: ['ignore', 'ignore', 'ignore', socket],
    cwd: '/',
    env,
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new CulvertError('exec-failed', { text: 'The network process cannot be started.' });
}
