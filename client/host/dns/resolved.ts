/**
 * DNS through systemd-resolved: servers on a link of our own (org.freedesktop.resolve1(5)), asked for every name.
 * The link is a device that goes with the process, and the setting with the link: nothing to undo after a crash.
 * resolved refuses `lo` and ignores links without carrier.
 */

import { parseAddress } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';

/** The start of every call, for `busctl`. */
export const resolvedBus: readonly string[] = [
  '--system',
  '--timeout=2',
  'call',
  'org.freedesktop.resolve1',
  '/org/freedesktop/resolve1',
];
const manager = 'org.freedesktop.resolve1.Manager';
/** Its files: written when it starts, and when it is told something. */
export const resolvedFolder = '/run/systemd/resolve';
const familyV4 = '2';
const familyV6 = '10';

export interface ResolvedLink {
  /** Number of the interface. */
  readonly index: number;
  readonly servers: readonly string[];
}

/** Makes every name be asked through the link. Throws CulvertError with nothing half done that matters: revert. */
export async function setResolvedLink(link: ResolvedLink, run: Run): Promise<void> {
  for (const words of resolvedCalls(link)) await run('busctl', [...resolvedBus, manager, ...words]);
}

/** Whether resolved still has what we told it; undefined where it does not answer now. */
export async function knowsResolvedLink(link: ResolvedLink, run: Run): Promise<boolean | undefined> {
  const place = ['org.freedesktop.resolve1', linkPath(link.index), 'org.freedesktop.resolve1.Link', 'DNS'];
  const words = ['--system', '--timeout=2', 'get-property', ...place];
  try {
    const { exitCode, stdout } = await run('busctl', words, { allowFailure: true });
    if (exitCode === 0) return stdout.trim() === `a(iay) ${serverWords(link).join(' ')}`;
    // It answers, and has no link of that number.
    const ping = await run('busctl', [...resolvedBus, 'org.freedesktop.DBus.Peer', 'Ping'], {
      allowFailure: true,
    });
    return ping.exitCode === 0 ? false : undefined;
  } catch {
    return undefined; // It took too long.
  }
}

/** As sd_bus_path_encode(3) writes a number: a digit may not come first. */
function linkPath(index: number): string {
  const digits = String(index);
  return `/org/freedesktop/resolve1/link/_3${digits}`;
}

/** Tolerates a link that is gone. */
export async function revertResolvedLink(index: number, run: Run): Promise<void> {
  await run('busctl', [...resolvedBus, manager, 'RevertLink', 'i', String(index)], { allowFailure: true });
  await run('busctl', [...resolvedBus, manager, 'FlushCaches'], { allowFailure: true });
}

/** The calls after each other, as words of `busctl call … MANAGER`. Pure. */
export function resolvedCalls(link: ResolvedLink): readonly (readonly string[])[] {
  const index = String(link.index);
  return [
    ['SetLinkDNS', 'ia(iay)', index, ...serverWords(link)],
    ['SetLinkDomains', 'ia(sb)', index, '1', '.', 'true'],
    ['SetLinkDefaultRoute', 'ib', index, 'true'],
    // What would go around us or twice: other protocols on this link, validation and TLS of its own.
    ['SetLinkLLMNR', 'is', index, 'no'],
    ['SetLinkMulticastDNS', 'is', index, 'no'],
    ['SetLinkDNSSEC', 'is', index, 'no'],
    ['SetLinkDNSOverTLS', 'is', index, 'no'],
    ['FlushCaches'],
  ];
}

/** How many, and each with its family and its bytes. */
function serverWords(link: ResolvedLink): readonly string[] {
  const servers = link.servers.flatMap((server) => {
    const bytes = parseAddress(server);
    if (bytes === undefined) throw new CulvertError('internal', { text: `'${server}' is no address.` });
    return [bytes.length === 4 ? familyV4 : familyV6, String(bytes.length), ...[...bytes].map(String)];
  });
  return [String(link.servers.length), ...servers];
}
