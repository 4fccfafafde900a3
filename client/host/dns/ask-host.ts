/** Gathers the facts that detect.ts decides from. Changes nothing. */

import type { Run } from '../../../shared/node/run.ts';
import type { DnsChoice, DnsFacts } from './detect.ts';
import { hostsSourcesIn } from './detect.ts';
import type { HostFiles } from './host-files.ts';
import { resolvedBus } from './resolved.ts';

export interface HostQuestions {
  readonly files: HostFiles;
  readonly run: Run;
  /** Usually /etc. */
  readonly etc: string;
}

/** A bus that hangs must not hold up a connection. */
const busTimeoutMs = 2000;

/** Which programs that own DNS somewhere are here. */
export type DnsPrograms = Pick<DnsFacts, 'resolvedAnswers' | 'hasResolvconf'>;

/** Some 20 ms, or two seconds where the bus hangs. Never rejects. */
export async function askPrograms(run: Run): Promise<DnsPrograms> {
  const [resolvedAnswers, hasResolvconf] = await Promise.all([
    answers(run, 'busctl', [...resolvedBus, 'org.freedesktop.DBus.Peer', 'Ping']),
    answers(run, 'resolvconf', ['--version'], true),
  ]);
  return { resolvedAnswers, hasResolvconf };
}

/** `asked`: where the programs were asked a moment ago. */
export async function askHost(
  choice: DnsChoice,
  { files, run, etc }: HostQuestions,
  asked?: Promise<DnsPrograms>,
): Promise<DnsFacts> {
  // Before the file: the question starts resolved where the system starts it on demand, and it then writes its file.
  const programs = await (asked ?? askPrograms(run));
  return {
    choice,
    ...programs,
    file: files.look(`${etc}/resolv.conf`),
    hostsSources: hostsSourcesIn(files.read(`${etc}/nsswitch.conf`) ?? ''),
  };
}

async function answers(
  run: Run,
  program: string,
  words: readonly string[],
  evenBadly = false,
): Promise<boolean> {
  try {
    const { exitCode } = await run(program, words, { timeoutMs: busTimeoutMs, allowFailure: true });
    return evenBadly || exitCode === 0;
  } catch {
    return false; // It is not installed, or takes too long: then it is not the one.
  }
}
