/**
 * The daemon as a unit of systemd: its text (pure), putting it there and taking it away. What was done is written down
 * before, so that `remove` undoes that and nothing else. The unit of somebody else is never touched.
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { sleeperEnv, sleeperFlags } from '../../shared/node/heap.ts';
import type { Run } from '../../shared/node/run.ts';
import { writeAtomic } from '../settings/atomic-file.ts';
import { commandGroup } from './accounts.ts';
import { type PolkitPlan, removePolicy, writePolicy } from './polkit.ts';

export const unitName = 'culvert.service';
export const unitFolder = '/etc/systemd/system';
const ownMark = '# Written by: culvert service install';

export interface UnitPlan {
  /** The program that runs ours, and ours: absolute paths. */
  readonly node: string;
  readonly entry: string;
  readonly stateDir: string;
  /** Where polkit is asked to let accounts command the daemon; absent: nowhere. */
  readonly polkit?: PolkitPlan;
}

/**
 * What the daemon needs, and nothing else: the network, the TUN device, /etc/resolv.conf, kernel settings of routing,
 * the tree of program groups. Machine code is made at run time, so memory may be executable.
 */
export function unitText({ node, entry, stateDir }: UnitPlan): string {
  return [
    ownMark,
    '[Unit]',
    'Description=culvert, the private tunnel of this device',
    'Wants=network-pre.target',
    'Before=network-online.target shutdown.target',
    'After=network-pre.target dbus.service systemd-resolved.service nftables.service',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    ...Object.entries(sleeperEnv).map(([name, value]) => `Environment=${name}=${value}`),
    // What Node makes of the sources: root's alone, so that nobody else writes what root runs.
    'Environment=NODE_COMPILE_CACHE=%C/culvert/compiled',
    'CacheDirectory=culvert',
    'CacheDirectoryMode=0700',
    `ExecStart=${quoted(node)} ${sleeperFlags.join(' ')} ${quoted(entry)} daemon --foreground --state-dir ${quoted(stateDir)}`,
    'Restart=always',
    'RestartSec=1s',
    'KillMode=mixed',
    'TimeoutStopSec=20s',
    'StateDirectory=culvert',
    'StateDirectoryMode=0700',
    'RuntimeDirectory=culvert',
    'RuntimeDirectoryMode=0755',
    'UMask=0077',
    'LimitNOFILE=65536',
    'LimitCORE=0',
    'TasksMax=256',
    'CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_CHOWN CAP_DAC_OVERRIDE',
    'NoNewPrivileges=yes',
    'ProtectSystem=yes',
    'ProtectHome=read-only',
    'PrivateTmp=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'DevicePolicy=closed',
    'DeviceAllow=/dev/net/tun rw',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallErrorNumber=EPERM',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

export interface SystemdPlaces {
  readonly run: Run;
  /** Where what was done is written down. */
  readonly journal: string;
  /** Default: /etc/systemd/system. */
  readonly folder?: string;
  /** True where systemd runs this machine. */
  readonly isRunning?: () => boolean;
}

interface Installed {
  readonly path: string;
  /** The group is ours to remove. */
  readonly madeGroup: boolean;
  /** File of polkit, where one was written. */
  readonly policy?: string;
}

/** Installs, enables and starts it; repeated, brings it up to date. What was done, in sentences. */
export async function installUnit(plan: UnitPlan, places: SystemdPlaces): Promise<readonly string[]> {
  const { run, journal, folder = unitFolder } = places;
  checkSystemd(places);
  const path = join(folder, unitName);
  if (existsSync(path) && !isOurs(path)) {
    throw new CulvertError('file-unwritable', {
      text: `${path} was not written by culvert.`,
      remedy: 'Move it away, then try again.',
    });
  }
  const hadGroup = await hasGroup(run);
  const before = readInstalled(journal);
  const madeGroup = before?.madeGroup ?? !hadGroup;
  const policy = plan.polkit?.path;
  const installed: Installed = { path, madeGroup, ...(policy === undefined ? {} : { policy }) };
  writeAtomic(journal, `${JSON.stringify(installed)}\n`);
  if (!hadGroup) await run('groupadd', ['--system', commandGroup]);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, unitText(plan), { mode: 0o644 });
  const canAsk = plan.polkit !== undefined && writePolicy(plan.polkit);
  await run('systemctl', ['daemon-reload']);
  await run('systemctl', ['enable', unitName]);
  await run('systemctl', ['restart', unitName]);
  return [
    `Wrote ${path}; the daemon runs now, and from every start of this machine.`,
    ...(hadGroup ? [] : [`Made the group ${commandGroup}.`]),
    ...(canAsk ? ['The window may ask an administrator for permission (polkit).'] : []),
    'To command it without sudo: sudo culvert account allow USER',
  ];
}

/** Stops it and takes it away; idempotent. What was done, in sentences. */
export async function removeUnit(places: SystemdPlaces): Promise<readonly string[]> {
  const { run, journal, folder = unitFolder } = places;
  const installed = readInstalled(journal);
  const path = installed?.path ?? join(folder, unitName);
  const done: string[] = [];
  if (existsSync(path) && isOurs(path)) {
    checkSystemd(places);
    await run('systemctl', ['disable', '--now', unitName], { allowFailure: true });
    // The folder of compiled code, which systemd made.
    await run('systemctl', ['clean', '--what=cache', unitName], { allowFailure: true });
    rmSync(path, { force: true });
    await run('systemctl', ['daemon-reload'], { allowFailure: true });
    done.push(`Stopped the daemon and removed ${path}.`);
  }
  if (installed?.policy !== undefined && removePolicy(installed.policy)) {
    done.push(`Removed ${installed.policy}.`);
  }
  if (installed?.madeGroup === true && (await isEmptyGroup(run))) {
    await run('groupdel', [commandGroup], { allowFailure: true });
    done.push(`Removed the group ${commandGroup}.`);
  }
  rmSync(journal, { force: true });
  return done;
}

function checkSystemd({ isRunning = () => existsSync('/run/systemd/system') }: SystemdPlaces): void {
  if (!isRunning()) throw new CulvertError('no-systemd');
}

/** Spaces and the like; a percent sign begins a specifier. */
function quoted(word: string): string {
  const escaped = word.replaceAll('%', '%%');
  return /^[A-Za-z0-9_./%+-]+$/.test(escaped)
    ? escaped
    : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('$', '$$$$')}"`;
}

function isOurs(path: string): boolean {
  return readFileSync(path, 'utf8').startsWith(ownMark);
}

function readInstalled(path: string): Installed | undefined {
  try {
    const { path: unit, madeGroup, policy } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Installed>;
    if (typeof unit !== 'string' || typeof madeGroup !== 'boolean') return undefined;
    return { path: unit, madeGroup, ...(typeof policy === 'string' ? { policy } : {}) };
  } catch {
    return undefined; // Never installed, or by hand.
  }
}

async function hasGroup(run: Run): Promise<boolean> {
  return (await run('getent', ['group', commandGroup], { allowFailure: true })).exitCode === 0;
}

async function isEmptyGroup(run: Run): Promise<boolean> {
  const { exitCode, stdout } = await run('getent', ['group', commandGroup], { allowFailure: true });
  return exitCode === 0 && stdout.trim().endsWith(':');
}
