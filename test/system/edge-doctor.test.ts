/** `culvert-edge doctor` beside a running edge: what it says of ports and clock is what is so. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../edge/doctor/examine.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const readyMs = 20_000;
const [udpPort, otherUdpPort, httpsPort, impostorPort] = [51820, 4500, 8443, 9443];

/** TLS with a key of its own, and an API that looks right. */
const impostor = `
  const { execFileSync } = require('node:child_process');
  const [port] = process.argv.slice(1);
  const pem = execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-keyout', '-', '-out', '-', '-subj', '/CN=edge', '-days', '2'], { encoding: 'utf8', stdio: 'pipe' });
  require('node:https').createServer({ key: pem, cert: pem }, (_, answer) => answer.end('{}'))
    .listen(+port, () => console.log('listening'));`;

let lab: Lab;
let folder: string;
let edge: Child;
let other: Child | undefined;

async function doctor(subject: string): Promise<Finding | undefined> {
  const words = ['doctor', '--json', '--data', folder];
  const { stdout } = await lab.edge.run(edgeProgram, words, { allowFailure: true });
  return (JSON.parse(stdout) as Finding[]).find((finding) => finding.subject === subject);
}

async function nft(...rules: readonly string[]): Promise<void> {
  await lab.edge.run('nft', [rules.join('\n')]);
}

const needs = { root: true, namespaces: true, tools: ['nft', 'openssl'] };

describeWith(needs, 'the doctor of a running edge', () => {
  beforeAll(async () => {
    lab = await Lab.up({ label: 'cvt-doctor' });
    folder = join(lab.folder, 'edge');
    mkdirSync(folder, { mode: 0o700 });
    const yaml = `name: home
endpoint: ${labAddresses.edge}
workers: 2
interface: cvtd${process.pid % 10_000}
listen: { udp: [${udpPort}, ${otherUdpPort}], https: [${httpsPort}], metrics: off }
network: { v4: 10.83.0.0/16 }
dns: { upstreams: [] }
egress: { backend: kernel }
`;
    writeFileSync(join(folder, 'edge.yaml'), yaml);
    edge = await lab.edge.start('edge', [edgeProgram, 'run', '--data', folder]);
    await edge.waitFor(/^ready$/m, readyMs);
  }, 60_000);

  afterEach(async () => {
    await other?.end();
    other = undefined;
    await lab.edge.run('nft', ['delete table ip edge_doctor'], { allowFailure: true });
  });

  afterAll(async () => {
    await edge?.end();
    await lab?.down();
  });

  test('sends packets to every UDP port and sees whether the edge has them', {
    timeout: 60_000,
  }, async () => {
    expect(await doctor('UDP port')).toMatchObject({
      verdict: 'good',
      text: expect.stringContaining(`${labAddresses.edge} reach the edge on ${udpPort}, ${otherUdpPort};`),
    });

    await nft(
      'table ip edge_doctor { chain in { type filter hook input priority 0; policy accept;',
      `udp dport ${otherUdpPort} drop; }; }`,
    );
    expect(await doctor('UDP port')).toMatchObject({
      verdict: 'bad',
      text: `Packets to ${labAddresses.edge} do not reach the edge on ${otherUdpPort}.`,
      remedy: expect.stringContaining('firewall'),
    });
    await nft('delete table ip edge_doctor');
    expect(await doctor('UDP port')).toMatchObject({ verdict: 'good' });
  });

  test('asks the API on every HTTPS port, and tells an impostor by its key', {
    timeout: 60_000,
  }, async () => {
    expect(await doctor('HTTPS port')).toMatchObject({
      verdict: 'good',
      text: `The API answers on ${httpsPort}, with the key that devices expect.`,
    });

    const words = [process.execPath, '-e', impostor, String(impostorPort)];
    other = await lab.edge.start('impostor', words);
    await other.waitFor(/listening/, readyMs);
    await nft(
      'table ip edge_doctor { chain out { type nat hook output priority -100;',
      `tcp dport ${httpsPort} redirect to :${impostorPort}; }; }`,
    );
    expect(await doctor('HTTPS port')).toMatchObject({
      verdict: 'bad',
      text: expect.stringContaining(`On ${httpsPort} somebody else answers`),
    });
    await other.end();
    expect(await doctor('HTTPS port')).toMatchObject({
      verdict: 'bad',
      text: expect.stringContaining('does not answer'),
    });
  });

  test('knows a clock that went back by what the edge has written before', { timeout: 60_000 }, async () => {
    await lab.edge.run(edgeProgram, ['invite', '--json', '--data', folder]);
    expect(await doctor('clock')).toMatchObject({ verdict: 'good' });

    const database = new DatabaseSync(join(folder, 'store.db'), { timeout: 5000 });
    database.exec('UPDATE audit SET at = at + 3600000');
    database.close();
    expect(await doctor('clock')).toMatchObject({
      verdict: 'bad',
      text: expect.stringContaining('was already at work at'),
      remedy: expect.stringContaining('timedatectl'),
    });
  });
});
