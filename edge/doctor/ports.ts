/** What `doctor` says about the ports of an edge. */

import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import { askStatus } from '../admin/client.ts';
import type { EdgeStatus } from '../admin/status.ts';
import type { EdgeConfig } from '../config.ts';
import { controlSocketName } from '../run-options.ts';
import type { Finding } from './examine.ts';
import { httpsAnswer, udpReaches } from './self-test.ts';

export interface PortsPatient {
  readonly dataFolder: string;
  readonly config: Pick<EdgeConfig, 'endpoint' | 'httpsPorts'>;
  /** Undefined where the edge does not run. */
  readonly status: EdgeStatus | undefined;
}

const start = 'Start the edge, then ask again.';

/** Sends packets to each port and looks whether the edge has counted them. */
export async function examineUdp({ dataFolder, config, status }: PortsPatient): Promise<Finding> {
  const subject = 'UDP port';
  if (status === undefined) {
    return {
      subject,
      verdict: 'warning',
      text: 'It is not known while the edge does not run.',
      remedy: start,
    };
  }
  const host = ownAddress(config.endpoint);
  const edgeKey = decodeBase64Key(status.publicKey) ?? new Uint8Array(32);
  const drops = async (): Promise<EdgeStatus['drops']> =>
    (await askStatus(join(dataFolder, controlSocketName))).drops;
  const deaf: number[] = [];
  // One after the other: it is one count for all of them.
  for (const port of status.listen.udp) {
    if (!(await udpReaches({ host, port, edgeKey, drops, fields: status.obfuscation }))) deaf.push(port);
  }
  if (deaf.length === 0) {
    const ports = status.listen.udp.join(', ');
    const text = `Packets to ${host} reach the edge on ${ports}; a firewall before this machine cannot be seen from here.`;
    return { subject, verdict: 'good', text };
  }
  return {
    subject,
    verdict: 'bad',
    text: `Packets to ${host} do not reach the edge on ${deaf.join(', ')}.`,
    remedy: 'Open it in the firewall of this machine; if it is open, look at the log and restart the edge.',
  };
}

/** Asks each port for its API, as a device does. */
export async function examineHttps({ config, status }: PortsPatient): Promise<Finding> {
  const subject = 'HTTPS port';
  if (config.httpsPorts.length === 0) {
    return {
      subject,
      verdict: 'warning',
      text: 'There is none: nobody can enrol by an invitation.',
      remedy: 'Set listen.https in edge.yaml, for example [443, 8443].',
    };
  }
  if (status === undefined) {
    return {
      subject,
      verdict: 'warning',
      text: 'It is not known while the edge does not run.',
      remedy: start,
    };
  }
  const host = ownAddress(config.endpoint);
  const { https: open } = status.listen;
  const answers = await Promise.all(open.map((port) => httpsAnswer(host, port, status.pin)));
  const having = (kind: (typeof answers)[number]): readonly number[] =>
    open.filter((_, i) => answers[i] === kind);
  const others = having('other');
  if (others.length > 0) {
    return {
      subject,
      verdict: 'bad',
      text: `On ${others.join(', ')} somebody else answers than this edge: devices refuse it.`,
      remedy: 'See who has the port, for example with ss -tlnp, and end it, or name another in listen.https.',
    };
  }
  const ours = having('ours');
  if (ours.length === 0) {
    return {
      subject,
      verdict: 'bad',
      text: `The API does not answer on ${host}.`,
      remedy: 'Look at the log, and name other ports in listen.https.',
    };
  }
  const missing = [...having('silent'), ...config.httpsPorts.filter((one) => !open.includes(one))];
  if (missing.length === 0) {
    return {
      subject,
      verdict: 'good',
      text: `The API answers on ${ours.join(', ')}, with the key that devices expect.`,
    };
  }
  return {
    subject,
    verdict: 'warning',
    text: `The API answers on ${ours.join(', ')}, but not on ${missing.join(', ')}.`,
    remedy: 'A port below 1024 needs CAP_NET_BIND_SERVICE; one that is in use must be freed, or left out.',
  };
}

/** The address that devices are told, where this machine has it itself. */
function ownAddress(endpoint: string | undefined): string {
  const own = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  );
  return endpoint !== undefined && own.includes(endpoint) ? endpoint : '127.0.0.1';
}
