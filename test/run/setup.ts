// Brings the programs that tests of the real network need. As root on Debian it installs what is missing;
// elsewhere it says which one line would.
import { spawnSync } from 'node:child_process';
import { findProgram } from '../support/requires.ts';

/** Each program that a test may call, and the Debian packages that it needs. */
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
  openssl: 'openssl',
  unshare: 'util-linux',
  dig: 'bind9-dnsutils',
  delv: 'bind9-dnsutils',
  kdig: 'knot-dnsutils',
  unbound: 'unbound',
  busctl: 'systemd',
  'dbus-daemon': 'dbus-daemon',
  'dbus-run-session': 'dbus-daemon',
  gsettings: 'libglib2.0-bin gsettings-desktop-schemas dconf-gsettings-backend',
  kreadconfig5: 'libkf5config-bin',
};

export function setUp(): void {
  const missing = Object.keys(debianPackages).filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => debianPackages[program] ?? program))];
  const install = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  console.log(`Missing programs: ${missing.join(', ')}.`);
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    console.log(`Tests that need them are SKIPPED. This would make them run: sudo ${install}`);
    return;
  }
  run('apt-get update'); // where it fails, the lists that are there may still do
  if (!run(install)) {
    console.log(
      `Could not install them, so tests that need them are SKIPPED. This would make them run: ${install}`,
    );
  }
}

function run(line: string): boolean {
  console.log(`> ${line}`);
  const [command = '', ...parameters] = line.split(' ');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, parameters, { env, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}
