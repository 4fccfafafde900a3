// Brings the programs that tests of the real network need. As root on Debian it installs what is missing;
// elsewhere it says which one line would.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackage } from '../support/debian-package.ts';
import { findProgram, unpackedPrograms } from '../support/requires.ts';

/** Each program, or file, that a test may need, and the Debian packages that bring it. */
const debianPackages: Readonly<Record<string, string>> = {
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  nft: 'nftables',
  ip: 'iproute2',
  iperf3: 'iperf3',
  ethtool: 'ethtool',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  curl: 'curl',
  faketime: 'faketime',
  openssl: 'openssl',
  unshare: 'util-linux',
  dig: 'bind9-dnsutils',
  delv: 'bind9-dnsutils',
  kdig: 'knot-dnsutils',
  unbound: 'unbound',
  pebble: 'pebble',
  busctl: 'systemd',
  'dbus-daemon': 'dbus-daemon',
  'dbus-run-session': 'dbus-daemon',
  pkexec: 'pkexec polkitd',
  gsettings: 'libglib2.0-bin gsettings-desktop-schemas dconf-gsettings-backend',
  kreadconfig5: 'libkf5config-bin',
  conntrack: 'conntrack',
  ss: 'iproute2',
  sysctl: 'procps',
  setpriv: 'util-linux',
  nsenter: 'util-linux',
  'musl-gcc': 'musl-tools gcc',
  '/usr/bin/python3': 'python3',
  '/usr/lib/python3/dist-packages/dns': 'python3-dnspython',
  chromium: 'chromium fonts-dejavu-core',
};

/** Programs of packages that would start a server: only unpacked, never installed. */
const unpackedPackages: Readonly<Record<string, string>> = { promtool: 'prometheus' };

export function setUp(): void {
  const missing = Object.keys(debianPackages).filter((name) => !isThere(name));
  const toUnpack = Object.keys(unpackedPackages).filter((name) => !isThere(name));
  if (missing.length + toUnpack.length === 0) return;
  const packages = [...new Set(missing.flatMap((name) => (debianPackages[name] ?? name).split(' ')))];
  const install = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  console.log(`Missing programs: ${[...missing, ...toUnpack].join(', ')}.`);
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    const enable = packages.length === 0 ? 'sudo npm test' : `sudo ${install}`;
    console.log(`Tests that need them are SKIPPED. This would make them run: ${enable}`);
    return;
  }
  run('apt-get update'); // where it fails, the lists that are there may still do
  if (packages.length > 0 && !run(install)) {
    console.log(
      `Could not install them, so tests that need them are SKIPPED. This would make them run: ${install}`,
    );
  }
  for (const name of toUnpack) {
    if (unpack(name, unpackedPackages[name] ?? name)) continue;
    console.log(`Could not fetch ${name}, so tests that need it are SKIPPED.`);
  }
}

function isThere(name: string): boolean {
  return name.startsWith('/') ? existsSync(name) : findProgram(name) !== undefined;
}

/** Keeps that one program of the package, for this run and later ones. */
function unpack(program: string, packageName: string): boolean {
  console.log(`> unpacking ${program} of ${packageName}`);
  const unpacked = unpackDebianPackage(packageName);
  const source = join(unpacked?.root ?? '', 'usr', 'bin', program);
  const found = unpacked !== undefined && existsSync(source);
  if (found) {
    mkdirSync(unpackedPrograms, { recursive: true });
    copyFileSync(source, join(unpackedPrograms, program));
  }
  unpacked?.remove();
  return found;
}

function run(line: string): boolean {
  console.log(`> ${line}`);
  const [command = '', ...parameters] = line.split(' ');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, parameters, { env, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}
