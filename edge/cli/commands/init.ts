/** `culvert-edge init`: from nothing to an edge that can be run, and its first invitation. */

import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { IssuedInvite } from '../../../shared/core/registration/admin-api.ts';
import { formatHostPort } from '../../../shared/core/uapi/values.ts';
import { systemEntropy } from '../../../shared/node/entropy.ts';
import { loadConfig } from '../../config-file.ts';
import { defaultHttpsPorts, defaultMetrics, defaultUdpPort } from '../../config-listen.ts';
import { usedRanges } from '../../host/used-ranges.ts';
import { readOrCreateIdentity } from '../../identity.ts';
import { newNetwork } from '../../new-network.ts';
import { keyText } from '../../peers/peer-changes.ts';
import { operatorActor } from '../../registration/administration.ts';
import { parseCount } from '../amounts.ts';
import { edgeYaml } from '../edge-yaml.ts';
import { actAsOwner, addSharedFlags, dataFolder, openEdge, print, type SharedFlags } from '../place.ts';
import { inviteResult, inviteText, wantsQr } from './invite.ts';

interface InitFlags extends SharedFlags {
  readonly endpoint?: string;
  readonly udp?: readonly string[];
  readonly https?: readonly string[];
  readonly name?: string;
  readonly qr?: boolean;
}

/** An address of the Internet, to learn by which address this machine would go there. Nothing is sent. */
const somewhere = '1.1.1.1';

export function addInit(program: Command): void {
  const collect = (port: string, ports: readonly string[] = []): readonly string[] => [...ports, port];
  addSharedFlags(program.command('init'))
    .description('make an edge in the data directory, and its first invitation')
    .option('--endpoint <HOST>', 'how devices reach this machine: a host name or an address')
    .option('--udp <PORT>', `port of the tunnel, repeatable (default: ${defaultUdpPort})`, collect)
    .option(
      '--https <PORT>',
      `port of the API, repeatable (default: ${defaultHttpsPorts.join(', ')})`,
      collect,
    )
    .option('--name <NAME>', 'what the edge is called (default: the name of this machine)')
    .option('--qr', 'the invitation as a QR code too (in a terminal: always)')
    .action(init);
}

async function init(flags: InitFlags): Promise<void> {
  const folder = dataFolder(flags);
  const path = join(folder, 'edge.yaml');
  if (existsSync(path)) throw new CulvertError('edge-exists');
  const entropy = systemEntropy();
  const network = newNetwork(usedRanges(), entropy);
  if (network === undefined) {
    throw new CulvertError('bad-config', {
      text: 'This machine routes all of 10.0.0.0/8.',
      remedy: 'Write edge.yaml by hand, as edge/README.md shows.',
    });
  }
  const endpoint = flags.endpoint ?? (await ownAddress());
  const text = edgeYaml({
    name: flags.name ?? nameOf(hostname()),
    endpoint,
    udpPorts: flags.udp?.map(parseCount) ?? [defaultUdpPort],
    httpsPorts: flags.https?.map(parseCount) ?? defaultHttpsPorts,
    metrics: formatHostPort(defaultMetrics),
    network,
  });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  actAsOwner(folder);
  const { config } = checked(text, path, folder);
  const { publicKey } = readOrCreateIdentity(config.privateKeyFile);
  const { administration, store } = await openEdge(folder, config);
  let invite: IssuedInvite | undefined;
  try {
    if (endpoint !== undefined) invite = await administration.invite({}, operatorActor);
  } finally {
    store.close();
  }
  const result = {
    config: path,
    name: config.name,
    publicKey: keyText(publicKey),
    endpoint: endpoint ?? null,
    network,
    ...(invite === undefined ? {} : inviteResult(invite)),
  };
  print(flags, result, () => initText(path, endpoint, flags, invite));
}

/** Written only where the edge will understand it: a wrong flag is told as what it is. */
function checked(text: string, path: string, folder: string): ReturnType<typeof loadConfig> {
  writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  return loadConfig(path, folder);
}

function initText(
  path: string,
  endpoint: string | undefined,
  flags: InitFlags,
  invite: IssuedInvite | undefined,
): string {
  const flag = flags.data === undefined ? '' : ` --data ${dataFolder(flags)}`;
  const where =
    endpoint === undefined
      ? `Set endpoint in ${path}: how devices reach this machine.`
      : flags.endpoint !== undefined
        ? `Devices reach it at ${endpoint}.`
        : `Devices reach it at ${endpoint}, which this machine calls its own; if that is wrong, set endpoint in ${path}.`;
  return [
    `An edge is ready in ${dataFolder(flags)}; its configuration: ${path}`,
    where,
    '',
    `Run it:     culvert-edge run${flag}`,
    `Let more in: culvert-edge invite${flag}`,
    '',
    ...(invite === undefined ? [] : [inviteText(invite, wantsQr(flags))]),
  ].join('\n');
}

function nameOf(host: string): string {
  const name = host
    .replace(/\..*$/, '')
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 32);
  return /^[A-Za-z0-9]/.test(name) ? name : 'edge';
}

/** Undefined without a route to the Internet. */
function ownAddress(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const answer = (address: string | undefined): void => {
      socket.close();
      resolve(address !== undefined && parseAddress(address) !== undefined ? address : undefined);
    };
    socket.once('error', () => answer(undefined));
    socket.connect(443, somewhere, () => answer(socket.address().address));
  });
}
