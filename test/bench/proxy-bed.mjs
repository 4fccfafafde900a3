// Where the proxy's benchmark happens: three hosts (shared/node/lab), a web server in `inet`, and who carries: nobody
// (plain: the edge host routes), culvert (proxy mode, edge in user space), or ssh -D.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { untilConnected } from '../../client/cli/commands/connect.ts';
import {
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

const here = fileURLToPath(new URL('.', import.meta.url));
const readyMs = 30_000;
export const webPort = 8080;
export const silentPort = 8081;
export const congestion = 'cubic';
const tunnelPort = 51_820;
const sshPort = 2222;
const proxyPorts = { culvert: 40_000, ssh: 40_001 };
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
    else if (label === 'ssh') {
      const found = await this.#ssh(edgeAddress);
      if (found === undefined) options.note('ssh is left out: apt install openssh-server brings it');
      else this.carriers.ssh = found;
    } else throw new Error(`there is no "${label}" to carry`);
  }

  async #culvert(edgeAddress) {
    const edgeFolder = join(this.lab.folder, 'edge');
    const clientFolder = join(this.lab.folder, 'client');
    for (const folder of [edgeFolder, clientFolder]) mkdirSync(folder, { mode: 0o700 });
    const keys = newKeys();
    const yaml = [
      'name: bench',
      `endpoint: ${edgeAddress}`,
      `listen: { udp: [${tunnelPort}] }`,
      demoNetwork,
      'egress: { backend: userspace }',
      'dns: { upstreams: [] }',
      peersLine(keys.publicKey),
    ];
    writeFileSync(join(edgeFolder, 'edge.yaml'), `${yaml.join('\n')}\n`);
    const edge = await this.lab.edge.start('culvert-edge', [
      programPath('culvert-edge'),
      'run',
      '--data',
      edgeFolder,
    ]);
    await edge.waitFor(/^ready$/m, readyMs);
    const { publicKey } = await askEdge(join(edgeFolder, 'control.sock'));
    const socket = join(clientFolder, 'control.sock');
    const words = [
      programPath('culvert'),
      'daemon',
      '--foreground',
      '--state-dir',
      clientFolder,
      '--socket',
      socket,
    ];
    const client = await this.lab.client.start('culvert daemon', words);
    const control = new ControlClient(socket);
    await untilAnswers(client, () => control.call('status'), readyMs);
    await control.call('changeSettings', { mode: 'proxy', 'proxy.port': proxyPorts.culvert });
    const endpoint = `${edgeAddress}:${tunnelPort}`;
    const conf = wgQuickFile({
      privateKey: keys.privateKey,
      edgeKey: publicKey,
      endpoint,
      dns: gatewayAddresses,
    });
    await control.call('importEdge', { name: 'bench', conf });
    await control.call('connect', {});
    await untilConnected(control, readyMs, { note: () => {} });
    return { proxyPort: proxyPorts.culvert, client, edge };
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
