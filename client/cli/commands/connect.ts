/** `culvert connect` and `culvert reconnect`: ask for protection, and wait until it is proven. */

import type { Command } from 'commander';
import { CulvertError, type ErrorCode, errorCodes } from '../../../shared/core/control/codes.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import { wordsFor } from '../../../shared/core/control/texts.ts';
import type { ControlClient } from '../../../shared/node/control/socket-client.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon, needDaemon } from '../daemon-link.ts';
import { durationFlag, withSharedFlags } from '../flags.ts';
import { renderStatus } from '../render.ts';

interface ConnectFlags extends SharedFlags {
  readonly wait?: boolean;
  /** Milliseconds. */
  readonly timeout: number;
}

const defaultTimeoutMs = 20_000;

export function addConnect(program: Command, context: CliContext): void {
  const connect = program
    .command('connect')
    .description('turn protection on; starts a daemon where none answers')
    .action(async (flags: ConnectFlags) => {
      const client = await needDaemon(context, flags);
      await finish(client, await client.call('connect', {}), { context, flags });
    });
  const reconnect = program
    .command('reconnect')
    .description('make a new tunnel; traffic stays stopped meanwhile')
    .action(async (flags: ConnectFlags) => {
      const client = await findDaemon(context, flags);
      await finish(client, await client.call('reconnect', {}), { context, flags });
    });
  for (const command of [connect, reconnect]) {
    withSharedFlags(command)
      .option('--wait', 'return once the connection is proven, or fail')
      .option('--timeout <duration>', 'how long --wait waits (default: 20s)', durationFlag, defaultTimeoutMs);
  }
}

interface Finish {
  readonly context: CliContext;
  readonly flags: ConnectFlags;
}

async function finish(client: ControlClient, first: Status, { context, flags }: Finish): Promise<void> {
  const status = flags.wait === true ? await untilConnected(client, flags.timeout, context) : first;
  context.print(flags.json === true ? JSON.stringify(status) : renderStatus(status));
}

/** Resolves with the status of a proven connection. Throws what keeps it from coming. */
export async function untilConnected(
  client: ControlClient,
  timeoutMs: number,
  context: Pick<CliContext, 'note'>,
): Promise<Status> {
  const signal = AbortSignal.timeout(timeoutMs);
  let last: Status | undefined;
  for await (const status of client.events(signal)) {
    if (status.state === 'connected') return status;
    // Private names alone: done once they are answered.
    if (status.state === 'dns' && status.dns !== undefined) return status;
    // Of itself neither of the two becomes `connected` soon.
    if (status.state === 'off' || status.state === 'blocked') throw failureOf(status);
    if (status.state !== last?.state && process.stderr.isTTY) context.note(wordsFor(status).heading);
    last = status;
  }
  if (!signal.aborted) throw new CulvertError('daemon-not-running', { text: 'The daemon ended meanwhile.' });
  throw failureOf(last);
}

function failureOf(status: Status | undefined): CulvertError {
  const item = status?.health.find(
    ({ code, severity }) => severity !== 'notice' && Object.hasOwn(errorCodes, code),
  );
  if (item === undefined) return new CulvertError('handshake-timeout');
  return new CulvertError(item.code as ErrorCode, { text: item.text, remedy: item.remedy });
}
