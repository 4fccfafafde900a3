// Where the proxy's benchmark happens: three hosts (shared/node/lab), a web server in `inet`, and who carries: nobody
// (plain: the edge host routes), culvert (proxy mode, edge in user space), gvisor (another client at such an edge), or
// ssh -D.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { untilConnected } from '../../client/cli/commands/connect.ts';
import {
  demoDevice,
  demoNetwork,
  gatewayAddresses,
  newKeys,
  peersLine,
  wgQuickFile,
} from '../../client/start/demo-keys.ts';
import { askEdge } from '../../client/start/edge-view.ts';
import { programPath, untilAnswers } from '../../client/start/programs.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import { endsBetween, RelayChild, relayAddresses } from '../../shared/node/lab/relay-child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { inPath } from './processes.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const readyMs = 30_000;
export const webPort = 8080;
export const silentPort = 8081;
export const congestion = 'cubic';
/** Each with an edge of its own. */
const tunnelPorts = { culvert: 51_820, gvisor: 51_821 };
const sshPort = 2222;
const proxyPorts = { culvert: 40_000, ssh: 40_001, gvisor: 40_002 };
/** As ours. */
const tunnelMtu = 1420;
const seed = 20_261_121;

/** Largest window of both kernels: enough for the bad link. */
const buffers = ['net.ipv4.tcp_rmem=4096 131072 16777216', 'net.ipv4.tcp_wmem=4096 65536 16777216'];

export class Bed {
  lab;
  web;
  relay;
  /** By label: {proxyPort, client, edge}, both of them with a pid. */
  carriers = {};
  #ending = [];

  /** `impairment`: of both directions of a bad link that replaces the good one. */
  static async make(options, impairment) {
    const bed = new Bed();
    try {
      await bed.#build(options, impairment);
      return bed;
    } catch (cause) {
      await bed.end();
      throw cause;
    }
  }

  async #build(options, impairment) {
    this.lab = await Lab.up({ label: 'bench-proxy', routing: true });
    const { client, edge, inet } = this.lab;
    for (const host of [client, edge, inet]) await host.run('sysctl', ['-qw', ...buffers]);
    let edgeAddress = labAddresses.edge;
    if (impairment !== undefined) {
      edgeAddress = relayAddresses.second;
      const ends = endsBetween(client.namespace, edge.namespace);
      const relay = await RelayChild.start({ seed, ...ends, forward: impairment, backward: impairment });
      this.relay = relay;
      this.#ending.push(() => relay.end());
    }
    await client.run('ip', ['route', 'add', 'default', 'via', edgeAddress]);
    const words = [
      process.execPath,
      join(here, 'proxy-web.mjs'),
      String(webPort),
      String(silentPort),
      congestion,
    ];
    this.web = await inet.start('the web server', words);
    await this.web.waitFor(new RegExp(`^listening ${congestion}$`, 'm'), readyMs);
    for (const label of options.only) await this.#carry(label, edgeAddress, options);
  }

  async #carry(label, edgeAddress, options) {
    if (label === 'plain') this.carriers.plain = { proxyPort: 0 };
    else if (label === 'culvert') this.carriers.culvert = await this.#culvert(edgeAddress);
    else if (label === 'gvisor') {
      const program = inPath('gvisor-proxy');
      if (program === undefined)
        options.note('gvisor is left out: see test/bench/peers/gvisor-proxy/build.sh');
      else this.carriers.gvisor = await this.#gvisor(program, edgeAddress);
    } else if (label === 'ssh') {
      const found = await this.#ssh(edgeAddress);
      if (found === undefined) options.note('ssh is left out: apt install openssh-server brings it');
      else this.carriers.ssh = found;
    } else throw new Error(`there is no "${label}" to carry`);
  }

  /** An edge of ours in user space, for one client: {edge, endpoint, keys, edgeKey}. */
  async #edge(label, edgeAddress) {
    const folder = join(this.lab.folder, `edge-of-${label}`);
    mkdirSync(folder, { mode: 0o700 });
    const port = tunnelPorts[label];
    const keys = newKeys();
    const yaml = [
      'name: bench',
      `endpoint: ${edgeAddress}`,
      `listen: { udp: [${port}] }`,
      demoNetwork,
      'egress: { backend: userspace }',
      'dns: { upstreams: [] }',
      peersLine(keys.publicKey),
    ];
    writeFileSync(join(folder, 'edge.yaml'), `${yaml.join('\n')}\n`);
    const words = [programPath('culvert-edge'), 'run', '--data', folder];
    const edge = await this.lab.edge.start('culvert-edge', words);
    await edge.waitFor(/^ready$/m, readyMs);
    const { publicKey: edgeKey } = await askEdge(join(folder, 'control.sock'));
    return { edge, endpoint: `${edgeAddress}:${port}`, keys, edgeKey };
  }

  async #culvert(edgeAddress) {
    const { edge, endpoint, keys, edgeKey } = await this.#edge('culvert', edgeAddress);
    const folder = join(this.lab.folder, 'client');
    mkdirSync(folder, { mode: 0o700 });
    const socket = join(folder, 'control.sock');
    const flags = ['--foreground', '--state-dir', folder, '--socket', socket];
    const words = [programPath('culvert'), 'daemon', ...flags];
    const client = await this.lab.client.start('culvert daemon', words);
    const control = new ControlClient(socket);
    await untilAnswers(client, () => control.call('status'), readyMs);
    await control.call('changeSettings', { mode: 'proxy', 'proxy.port': proxyPorts.culvert });
    const { privateKey } = keys;
    const conf = wgQuickFile({ privateKey, edgeKey, endpoint, dns: gatewayAddresses });
    await control.call('importEdge', { name: 'bench', conf });
    await control.call('connect', {});
    await untilConnected(control, readyMs, { note: () => {} });
    return { proxyPort: proxyPorts.culvert, client, edge };
  }

  /** The design of wireproxy: wireguard-go and gVisor's stack, at an edge of ours. */
  async #gvisor(program, edgeAddress) {
    const { edge, endpoint, keys, edgeKey } = await this.#edge('gvisor', edgeAddress);
    const hex = (key) => Buffer.from(key, 'base64').toString('hex');
    const settings = [
      `private_key=${hex(keys.privateKey)}`,
      `public_key=${hex(edgeKey)}`,
      `endpoint=${endpoint}`,
      'allowed_ip=0.0.0.0/0',
    ];
    const file = join(this.lab.folder, 'gvisor.conf');
    writeFileSync(file, `${settings.join('\n')}\n`, { mode: 0o600 });
    const own = [demoDevice.address, String(tunnelMtu), String(proxyPorts.gvisor)];
    const words = ['sh', '-c', 'file=$1; shift; exec "$@" < "$file"', 'sh', file, program, ...own];
    const client = await this.lab.client.start('gvisor-proxy', words);
    await client.waitFor(/^listening$/m, readyMs);
    return { proxyPort: proxyPorts.gvisor, client, edge };
  }

  /** For scale: a proxy with encryption that everybody has. One TCP connection carries all. */
  async #ssh(edgeAddress) {
    const folder = join(this.lab.folder, 'ssh');
    mkdirSync(folder, { mode: 0o700 });
    const sshd = '/usr/sbin/sshd';
    const there = await this.lab.edge.run('sh', ['-c', `test -x ${sshd} && command -v ssh-keygen`], {
      allowFailure: true,
    });
    if (there.exitCode !== 0) return undefined;
    mkdirSync('/run/sshd', { recursive: true });
    for (const name of ['host', 'user'])
      await this.lab.edge.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    const config = [
      `Port ${sshPort}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/user.pub`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin prohibit-password',
      'MaxSessions 20000',
    ];
    writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`);
    const edge = await this.lab.edge.start('sshd', [sshd, '-D', '-e', '-f', join(folder, 'sshd_config')]);
    await untilSays(edge, 'Server listening');
    // The route decides for programs that do not: the machine's own choice may be another.
    const device = edgeAddress === labAddresses.edge ? 'under' : 'relay';
    for (const host of [this.lab.client, this.lab.edge]) {
      const { stdout } = await host.run('ip', ['route', 'show', 'dev', device, 'scope', 'link']);
      const [network, ...route] = stdout.trim().split(/\s+/);
      await host.run('ip', ['route', 'change', network, 'dev', device, ...route, 'congctl', congestion]);
    }
    const connect = `ssh -N -v -D 127.0.0.1:${proxyPorts.ssh} -p ${sshPort} -i ${folder}/user -F none`;
    const trust = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes';
    const words = [...connect.split(' '), ...trust.split(' '), `root@${edgeAddress}`];
    const client = await this.lab.client.start('ssh', words);
    await untilSays(client, 'Entering interactive session');
    const sockets = await this.lab.edge.run('ss', ['-tinH', `( sport = :${sshPort} )`]);
    if (!sockets.stdout.includes(` ${congestion} `)) throw new Error(`sshd does not use ${congestion}`);
    return { proxyPort: proxyPorts.ssh, client, edge };
  }

  async end() {
    await this.lab?.down();
    for (const end of this.#ending) await end().catch(() => {});
  }
}

/** On its standard error, where OpenSSH says everything. */
function untilSays(child, words) {
  const look = async () => {
    if (!child.stderr.includes(words)) throw new Error(`${child.name} did not say "${words}"`);
  };
  return untilAnswers(child, look, readyMs);
}
