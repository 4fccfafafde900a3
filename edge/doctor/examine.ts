/**
 * Looks at an edge from its own machine: configuration, clock, ports, forwarding, resolvers, certificate, disk,
 * kernel. Each finding is one sentence and, where something is wrong, one fix. Changes nothing. Whether the
 * Internet reaches the ports only somebody outside can say.
 */

import { readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { askStatus } from '../admin/client.ts';
import type { EdgeStatus } from '../admin/status.ts';
import type { EdgeConfig } from '../config.ts';
import { loadConfig } from '../config-file.ts';
import { askHost, kernelMissing } from '../host/privileges.ts';
import { newestAct } from '../peers/newest-act.ts';
import { storePath } from '../registration/start-registration.ts';
import { controlSocketName } from '../run-options.ts';
import { examineCertificate } from './certificate.ts';
import { examineOutside } from './examine-outside.ts';
import { examineHttps, examineUdp } from './ports.ts';
import { upstreamReachable } from './reach.ts';

export interface Finding {
  readonly subject: string;
  readonly verdict: 'good' | 'warning' | 'bad';
  /** One sentence. */
  readonly text: string;
  /** What to do; absent where nothing is wrong. */
  readonly remedy?: string;
}

export interface DoctorPlace {
  readonly dataFolder: string;
  readonly configPath: string;
}

interface Patient extends DoctorPlace {
  readonly config: EdgeConfig;
  /** Undefined where the edge does not run. */
  readonly status: EdgeStatus | undefined;
}

/** A clock before this was never set. */
const notBefore = Date.UTC(2026, 0, 1);
/** Between a clock that is corrected and one that is wrong. */
const clockSlackMs = 60_000;
const leastDiskBytes = 100_000_000;

export async function examine(place: DoctorPlace): Promise<readonly Finding[]> {
  let patient: Patient;
  try {
    patient = await admit(place);
  } catch (cause) {
    if (!(cause instanceof CulvertError)) throw cause;
    return [{ subject: 'configuration', verdict: 'bad', text: cause.message, remedy: cause.remedy }];
  }
  const checks = [
    configuration,
    running,
    clock,
    examineUdp,
    examineHttps,
    examineOutside,
    forwarding,
    ping,
    upstreams,
    examineCertificate,
    disk,
    kernel,
  ];
  return Promise.all(checks.map(async (check) => check(patient)));
}

async function admit(place: DoctorPlace): Promise<Patient> {
  const { config } = loadConfig(place.configPath, place.dataFolder, kernelMissing(askHost()));
  const status = await askStatus(join(place.dataFolder, controlSocketName)).catch(() => undefined);
  return { ...place, config, status };
}

function configuration({ config, configPath }: Patient): Finding {
  if (config.endpoint !== undefined) return good('configuration', `${configPath} makes sense.`);
  return {
    subject: 'configuration',
    verdict: 'bad',
    text: 'It does not say how devices reach this machine.',
    remedy: 'Set endpoint in edge.yaml to its host name or address.',
  };
}

function running({ status }: Patient): Finding {
  if (status !== undefined) return good('edge', `It runs, with the ${status.egress.backend} backend.`);
  return { subject: 'edge', verdict: 'bad', text: 'It does not run.', remedy: 'Start it: culvert-edge run' };
}

/** Held against what this edge has seen and written itself: a clock that went back takes old invitations for valid. */
function clock({ dataFolder, status }: Patient): Finding {
  const now = Date.now();
  const says = `It says ${new Date(now).toISOString()}`;
  const remedy = 'Set it, for example: timedatectl set-ntp true';
  if (now < notBefore) {
    const text = `${says}, which cannot be: handshakes and invitations need the time.`;
    return { subject: 'clock', verdict: 'bad', text, remedy };
  }
  const seen = (status?.devices ?? []).map(({ lastSeen }) => Date.parse(lastSeen ?? ''));
  const newest = [newestAct(storePath(dataFolder)) ?? 0, ...seen].reduce((a, b) => (b > a ? b : a), 0);
  if (newest > now + clockSlackMs) {
    const text = `${says}, but this edge was already at work at ${new Date(newest).toISOString()}.`;
    return { subject: 'clock', verdict: 'bad', text, remedy };
  }
  return good('clock', `${says}, and nothing that this edge has seen is later.`);
}

function forwarding({ config, status }: Patient): Finding {
  if (config.backend === 'userspace')
    return good('forwarding', 'The userspace backend needs none of the kernel.');
  if (status === undefined) return good('forwarding', 'The edge turns it on when it starts.');
  const files = [
    ...(config.network.v4 === undefined ? [] : ['net/ipv4/ip_forward']),
    ...(config.network.v6 === undefined ? [] : ['net/ipv6/conf/all/forwarding']),
  ];
  const off = files.filter((file) => readText(`/proc/sys/${file}`).trim() !== '1');
  if (off.length === 0) return good('forwarding', 'The kernel forwards.');
  const setting = (off[0] ?? '').replaceAll('/', '.');
  return {
    subject: 'forwarding',
    verdict: 'bad',
    text: `The kernel does not forward: somebody turned ${setting} off.`,
    remedy: `Turn it on: sysctl -w ${setting}=1`,
  };
}

function ping({ config, status }: Patient): Finding {
  if (config.backend === 'kernel') return good('ping', 'The kernel forwards it.');
  if (status === undefined) return unknown('ping', 'It is not known while the edge does not run.');
  const found = status.egress.flows?.ping;
  if (found === undefined || found.allowed) return good('ping', 'Devices can ping beyond this edge.');
  return {
    subject: 'ping',
    verdict: 'warning',
    text: `Devices cannot ping beyond this edge, because ${found.why}.`,
    remedy: found.remedy ?? '',
  };
}

async function upstreams({ config }: Patient): Promise<Finding> {
  const { upstreams: names } = config.dns;
  if (names.length === 0) return good('resolvers', 'None are asked: only edge.culvert is known.');
  const reachable = await Promise.all(names.map(upstreamReachable));
  const down = names.filter((_, i) => reachable[i] !== true);
  if (down.length === 0) return good('resolvers', `${names.join(', ')} can be reached.`);
  const all = down.length === names.length;
  return {
    subject: 'resolvers',
    verdict: all ? 'bad' : 'warning',
    text: `${down.join(', ')} cannot be reached${all ? ': devices find no names' : ''}.`,
    remedy: 'Check the network of this machine, or name others in dns.upstreams.',
  };
}

function disk({ dataFolder }: Patient): Finding {
  const { bavail, bsize } = statfsSync(dataFolder);
  const free = bavail * bsize;
  const text = `${Math.floor(free / 1e6)} MB are free for ${dataFolder}.`;
  if (free >= leastDiskBytes) return good('disk', text);
  return { subject: 'disk', verdict: 'bad', text, remedy: 'Make room: without it no device can enrol.' };
}

function kernel({ config }: Patient): Finding {
  const missing = kernelMissing(askHost());
  if (missing === undefined) return good('kernel', 'TUN, nftables and the right to use them are there.');
  if (config.backend === 'userspace') return good('kernel', `It is not used, because ${missing}.`);
  return {
    subject: 'kernel',
    verdict: 'bad',
    text: `The kernel backend cannot be used here: ${missing}.`,
    remedy: 'Write egress.backend: userspace in edge.yaml, or give the edge what is missing.',
  };
}

function good(subject: string, text: string): Finding {
  return { subject, verdict: 'good', text };
}

function unknown(subject: string, text: string): Finding {
  return { subject, verdict: 'warning', text, remedy: 'Start the edge, then ask again.' };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
