/**
 * Looks at an edge from its own machine: configuration, clock, ports, forwarding, resolvers, certificate, disk,
 * kernel. Each finding is one sentence and, where something is wrong, one fix. Changes nothing. Whether the
 * Internet reaches the ports only somebody outside can say.
 */

import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { askStatus } from '../admin/client.ts';
import type { EdgeStatus } from '../admin/status.ts';
import type { EdgeConfig } from '../config.ts';
import { loadConfig } from '../config-file.ts';
import { askHost, kernelMissing } from '../host/privileges.ts';
import { controlSocketName } from '../run-options.ts';
import { isUdpTaken, tlsAnswers, upstreamReachable } from './reach.ts';

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
const dayMs = 86_400_000;
const leastDiskBytes = 100_000_000;
const leastCertificateDays = 14;

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
    udp,
    https,
    forwarding,
    upstreams,
    certificate,
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

function clock(): Finding {
  if (Date.now() > notBefore) return good('clock', `It says ${new Date().toISOString()}.`);
  return {
    subject: 'clock',
    verdict: 'bad',
    text: `It says ${new Date().toISOString()}, which cannot be: handshakes and invitations need the time.`,
    remedy: 'Set it, for example: timedatectl set-ntp true',
  };
}

async function udp({ status }: Patient): Promise<Finding> {
  if (status === undefined) return unknown('UDP port', 'It is not known while the edge does not run.');
  const port = status.listen.udp[0] ?? 0;
  if (await isUdpTaken(port)) {
    return good('UDP port', `The edge has port ${port}; a firewall before it cannot be seen from here.`);
  }
  return {
    subject: 'UDP port',
    verdict: 'bad',
    text: `Nobody has port ${port}: no device can come.`,
    remedy: 'Look at the log, and restart the edge.',
  };
}

async function https({ config, status }: Patient): Promise<Finding> {
  if (config.httpsPorts.length === 0) {
    return {
      subject: 'HTTPS port',
      verdict: 'warning',
      text: 'There is none: nobody can enrol by an invitation.',
      remedy: 'Set listen.https in edge.yaml, for example [443, 8443].',
    };
  }
  if (status === undefined) return unknown('HTTPS port', 'It is not known while the edge does not run.');
  const port = status.listen.https[0];
  if (port === undefined || !(await tlsAnswers(port))) {
    return {
      subject: 'HTTPS port',
      verdict: 'bad',
      text: 'The API does not answer on this machine.',
      remedy: 'Look at the log, and name other ports in listen.https.',
    };
  }
  const missing = config.httpsPorts.filter((one) => !status.listen.https.includes(one));
  if (missing.length === 0) return good('HTTPS port', `The API answers on ${port}.`);
  return {
    subject: 'HTTPS port',
    verdict: 'warning',
    text: `The API answers on ${port}, but not on ${missing.join(', ')}.`,
    remedy: 'A port below 1024 needs CAP_NET_BIND_SERVICE; one that is in use must be freed, or left out.',
  };
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

function certificate({ config, dataFolder }: Patient): Finding {
  const path = config.certificate?.certificateFile ?? join(dataFolder, 'api.crt');
  if (!existsSync(path)) return unknown('certificate', 'It is made when the edge starts.');
  try {
    const { validToDate } = new X509Certificate(readFileSync(path));
    const days = Math.floor((validToDate.getTime() - Date.now()) / dayMs);
    if (days >= leastCertificateDays) return good('certificate', `It is valid for ${days} days more.`);
    const isOwn = config.certificate === undefined;
    return {
      subject: 'certificate',
      verdict: days < 0 && !isOwn ? 'bad' : 'warning',
      text: days < 0 ? 'It is no longer valid.' : `It is valid for ${days} days more only.`,
      remedy: isOwn
        ? 'Restart the edge: it renews it, and its key stays.'
        : `Renew ${path}, then restart the edge.`,
    };
  } catch {
    return {
      subject: 'certificate',
      verdict: 'bad',
      text: `${path} is no certificate, or cannot be read.`,
      remedy: 'Correct it, or remove it to have a new one.',
    };
  }
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
