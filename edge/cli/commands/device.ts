/** `culvert-edge device`: who may connect. DEVICE is an id or a name. */

import type { Command } from 'commander';
import { wipe } from '../../../shared/core/base/bytes.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { DeviceDetail, DeviceEdit } from '../../../shared/core/registration/admin-api.ts';
import { autoPath } from '../../../shared/core/registration/shapes.ts';
import { generatePrivateKey, publicKeyOf } from '../../../shared/node/wgtools/keys.ts';
import { keyText } from '../../peers/peer-changes.ts';
import { type Administration, operatorActor } from '../../registration/administration.ts';
import { parseBytes, table, whenText } from '../amounts.ts';
import { addSharedFlags, print, type SharedFlags, withEdge } from '../place.ts';
import { qrText } from '../qr.ts';
import { bytesText } from '../render.ts';
import { addDeviceTag } from './device-tag.ts';

interface AddFlags extends SharedFlags {
  readonly publicKey?: string;
  readonly generate?: boolean;
  readonly qr?: boolean;
  readonly path?: string;
  readonly tag?: readonly string[];
}

export function addDevice(program: Command): void {
  const device = program.command('device').description('the devices that may connect').helpOption('--help');
  addSharedFlags(device.command('list'))
    .description('all devices')
    .action(async (flags: SharedFlags) => {
      const devices = await withEdge(flags, ({ administration }) => allDevices(administration));
      print(flags, devices.map(shown), () => listText(devices));
    });
  addSharedFlags(device.command('show'))
    .description('one device')
    .argument('<device>', 'id or name')
    .action(async (name: string, flags: SharedFlags) => {
      const found = await withEdge(flags, ({ administration }) => administration.device(name));
      print(flags, shown(found), () => showText(found));
    });
  addSharedFlags(device.command('remove'))
    .description('remove a device for good; its tunnel is cut at once')
    .argument('<device>', 'id or name')
    .action(async (name: string, flags: SharedFlags) => {
      const gone = await withEdge(flags, ({ administration }) => administration.remove(name, operatorActor));
      print(flags, shown(gone), () => `${gone.name} is removed.\n`);
    });
  addEdits(device);
  addDeviceTag(device);
  addAdd(device);
}

function addEdits(device: Command): void {
  edit(device, ['rename', '<name>', 'give it another name'], ([name = '']) => ({ name }));
  edit(device, ['enable', '', 'let it connect again'], () => ({ enabled: true }));
  edit(device, ['disable', '', 'cut its tunnel and keep it out'], () => ({ enabled: false }));
  edit(
    device,
    ['pin', '<path>', 'its traffic leaves by this path; auto: the edge chooses'],
    ([path = '']) => ({
      path,
    }),
  );
  edit(device, ['quota', '<bytes>', 'how much it may move: 500MB, 10GB, none'], ([text = '']) => ({
    quotaBytes: parseBytes(text),
  }));
  edit(
    device,
    ['rate', '<bytes>', 'how fast it may be, a second and each way: 500kB, 5MB, none'],
    ([text = '']) => ({
      rateBps: parseBytes(text) * 8,
    }),
  );
  edit(device, ['allow', '<paths...>', 'paths it may choose itself; all: every path'], (paths) => ({
    granted: paths.length === 1 && paths[0] === 'all' ? null : paths,
  }));
  edit(
    device,
    ['expire', '<time>', 'until when it may connect: 2027-01-31T12:00:00Z, never'],
    ([text = '']) => ({
      expiresAt: text === 'never' ? null : text,
    }),
  );
}

function edit(
  device: Command,
  [word, argument, text]: readonly [word: string, argument: string, text: string],
  editOf: (words: readonly string[]) => DeviceEdit,
): void {
  const command = addSharedFlags(device.command(word)).description(text).argument('<device>', 'id or name');
  if (argument !== '') command.argument(argument);
  command.action(async (name: string, ...rest: unknown[]) => {
    const flags = command.opts<SharedFlags>();
    const words = argument === '' ? [] : ([rest[0]].flat() as string[]);
    const changed = await withEdge(flags, ({ administration }) =>
      administration.edit(name, editOf(words), operatorActor),
    );
    print(flags, shown(changed), () => showText(changed));
  });
}

function addAdd(device: Command): void {
  addSharedFlags(device.command('add'))
    .description('add a stock WireGuard client, as the official apps are')
    .argument('<name>')
    .option('--public-key <KEY>', 'its public key')
    .option('--generate', 'make its keys here; they are printed once and kept nowhere')
    .option('--qr', 'the configuration as a QR code, for the apps')
    .option('--path <PATH>', 'pin it to this path')
    .option('--tag <TAG...>', 'words that rules of edge.yaml may speak of')
    .action(async (name: string, flags: AddFlags) => {
      if ((flags.publicKey === undefined) === (flags.generate !== true)) {
        throw new CulvertError('bad-usage', {
          text: 'A stock client needs a key.',
          remedy: 'Give --public-key KEY, or --generate.',
        });
      }
      await withEdge(flags, ({ administration }) => addStock(name, flags, administration));
    });
}

async function addStock(name: string, flags: AddFlags, administration: Administration): Promise<void> {
  const privateKey = flags.generate === true ? generatePrivateKey() : undefined;
  const publicKey = privateKey === undefined ? (flags.publicKey ?? '') : keyText(publicKeyOf(privateKey));
  const path = flags.path === undefined ? {} : { path: flags.path };
  const added = await administration.addStock({ name, publicKey, ...path }, operatorActor);
  const tagged =
    flags.tag === undefined ? added : await administration.edit(added.id, { tags: flags.tag }, operatorActor);
  const config = await administration.stockConfig(added.id, privateKey);
  if (privateKey !== undefined) wipe(privateKey);
  print(flags, { ...shown(tagged), config }, () =>
    flags.qr === true ? `${qrText(config)}\n${config}` : config,
  );
}

async function allDevices(administration: Administration): Promise<readonly DeviceDetail[]> {
  const all: DeviceDetail[] = [];
  let after: string | undefined;
  do {
    const page = await administration.devices(after === undefined ? {} : { after });
    all.push(...page.devices);
    after = page.next;
  } while (after !== undefined);
  return all;
}

/** What programs get. */
function shown(device: DeviceDetail): object {
  const { lastSeenAt, ...rest } = device;
  return { ...rest, lastSeen: lastSeenAt ?? null };
}

function listText(devices: readonly DeviceDetail[]): string {
  if (devices.length === 0) return 'No devices yet. Let one in: culvert-edge invite\n';
  const rows = devices.map((device) => [
    device.name,
    device.id,
    device.addresses.join(', '),
    device.enabled ? whenText(device.lastSeenAt) : 'disabled',
    bytesText(device.rxBytes + device.txBytes),
    device.path,
  ]);
  return table([['DEVICE', 'ID', 'ADDRESSES', 'LAST SEEN', 'MOVED', 'PATH'], ...rows]);
}

function showText(device: DeviceDetail): string {
  const { quotaBytes, granted, tags = [], expiresAt } = device;
  const rows: (readonly string[])[] = [
    ['id', device.id],
    ['kind', device.kind === 'stock' ? 'stock WireGuard client' : 'enrolled by invitation'],
    ['public key', device.publicKey],
    ['addresses', device.addresses.join(', ')],
    ['may connect', device.enabled ? 'yes' : 'no: it is disabled'],
    ['last seen', whenText(device.lastSeenAt)],
    ['from it', bytesText(device.rxBytes)],
    ['to it', bytesText(device.txBytes)],
    ['quota', quotaBytes === 0 ? 'none of its own' : bytesText(quotaBytes)],
    ['path', device.path === autoPath ? 'auto: the edge chooses' : device.path],
    ['may choose', granted === undefined ? 'every path' : granted.join(', ')],
    ['tags', tags.length === 0 ? 'none' : tags.join(', ')],
    ['until', expiresAt === undefined ? 'for good' : whenText(expiresAt)],
  ];
  return `${device.name}\n${table(rows.map(([name = '', value = '']) => [`  ${name}`, value]))}`;
}
