// Names that rules of the edge mean, where the laptop's own resolver answers (mode tunnel+doh): the edge is told those
// and takes the rule's path with the first packet; of other names it never hears.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { WhyAnswer } from '../../edge/egress/paths-question.ts';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, networkServer, sh } from './support/dns-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'getent'] };
const edgeProgram = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
/** Every name of the world has it, for whoever asks by DoH. */
const place = '198.51.100.1';
const port = 9000;
const nobody = 65_534;
const longMs = 90_000;
const patience = { timeout: 30_000, interval: 300 };
/** They are the edge's own here, and such are closed unless they are named. */
const opened = ['1.1.1.1', '1.0.0.1', place];
/** A server that speaks first, so that no name stands in what passes: it tells who came. */
const mirror = `require('net').createServer((s) => s.end(s.remoteAddress.replace('::ffff:', ''))).listen(${port}, '::', () => console.log('listening'))`;
const ask = `const s = require('net').connect(${port}, process.argv[1]); let text = '';
  s.setTimeout(8000, () => s.destroy()).on('data', (d) => (text += d)).on('error', (e) => (text = e.code)).on('close', () => console.log(text))`;
const asNobody = [
  `--reuid=${nobody}`,
  `--regid=${nobody}`,
  '--clear-groups',
  '--inh-caps=-all',
  '--bounding-set=-all',
  '--',
];

describeWith(needs, 'names that rules mean', () => {
  const world = new DnsWorld(process.pid % 100_000);
  const folder = join(world.folder, 'edge');
  const started: ChildProcess[] = [];
  let machine: Laptop;

  beforeAll(async () => {
    await world.open();
    sh('ip', ['-n', world.network, 'address', 'add', `${place}/32`, 'dev', 'lo']);
    await start('listening', [process.execPath, '-e', mirror]);
    mkdirSync(folder, { mode: 0o700 });
    const yaml = join(folder, 'edge.yaml');
    writeFileSync(yaml, configText());
    for (const one of [folder, yaml]) chownSync(one, nobody, nobody);
    await start('^ready$', ['setpriv', ...asNobody, process.execPath, edgeProgram, 'run', '--data', folder]);
    machine = await world.boot();
    machine.startDaemon();
    machine.ok('settings', 'set', 'dns.caFile', world.caFile);
    machine.ok('mode', 'tunnel+doh');
    const { link } = JSON.parse(edgeCommand('invite', '--name', 'laptop', '--json')) as { link: string };
    machine.ok('enroll', link);
    machine.connect();
    await vi.waitFor(() => expect(machine.lookUp('first.example')).toBe(place), patience);
  }, longMs);

  afterAll(async () => {
    await machine?.shutDown();
    for (const { pid } of started) if (pid !== undefined) await end(pid, 'SIGTERM');
    await world.close();
  }, longMs);

  async function start(sign: string, words: readonly string[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', world.network, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_EXTRA_CA_CERTS: world.caFile },
    });
    started.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => (said += text.toString()));
    await vi.waitFor(() => expect(said).toMatch(new RegExp(sign, 'm')), patience);
  }

  function edgeCommand(...words: string[]): string {
    return sh('setpriv', [...asNobody, process.execPath, edgeProgram, ...words, '--data', folder]);
  }

  function why(): string {
    const words = ['path', 'why', place, '--port', String(port), '--device', 'laptop', '--json'];
    const { answers } = JSON.parse(edgeCommand(...words)) as WhyAnswer;
    return answers.map((one) => one.sentence).join(' ');
  }

  function comesAs(name: string): string {
    return machine.run(process.execPath, '-e', ask, name).out.trim();
  }

  test(
    'are not told where no rule means them',
    () => {
      expect(comesAs('shop.example')).toBe(place);
      expect(machine.lookUp('bank.example')).toBe(place);
      expect(machine.lookUp('notbank.example')).toBe(place);

      expect(why()).toBe(
        'By direct: rule 2 (for everything) says so. No name is known for this address, so rules for hosts were passed over.',
      );
    },
    longMs,
  );

  test(
    'are told where one does, before the first packet, and lead to the path of the rule',
    () => {
      expect(comesAs('www.bank.example')).toBe(networkServer);

      // Had the edge heard of the other names with this address, it would call this a guess.
      expect(why()).toBe(
        "By second: rule 1 (host *.bank.example) says so. The name is known from the device's question for www.bank.example.",
      );
    },
    longMs,
  );

  test(
    'other names stay unknown to the edge afterwards, and nobody outside is asked for one in the clear',
    async () => {
      expect(machine.lookUp('another.example')).toBe(place);

      expect(why()).toMatch(/^By second: .* question for www\.bank\.example\.$/);
      expect((await world.take()).filter(({ way }) => way === 'plain')).toEqual([]);
    },
    longMs,
  );
});

function configText(): string {
  return `name: home
endpoint: ${networkServer}
listen: { udp: [51820], https: [8443] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
egress:
  backend: userspace
  paths:
    - { id: direct, type: direct }
    - { id: second, type: source, address: ${networkServer} }
  rules:
    - { match: { host: "*.bank.example" }, use: second }
    - { use: direct }
  allow: [${opened.map((cidr) => `{ cidr: ${cidr}, device: laptop }`).join(', ')}]
`;
}
