// The logs of a busy edge and of its device, as they are written by default: what happened stands there, and nowhere a
// destination, a name that was asked for, a device's name, an address of a device or what a person wrote.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect as connectTcp } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { freePort, ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

/** Names and words that stand nowhere else. */
const secrets = {
  device: 'zanzibar-laptop',
  renamed: 'timbuktu-phone',
  asked: 'nobody-should-read-this.example',
  words: 'The aubergine is late.',
  closed: '10.77.66.55',
  metadata: '169.254.169.254',
};
/** A web server of its own, since the test waits for its visitors. */
const page = `const s = require('http').createServer((q, a) => a.end('a page'));
s.listen(0, process.argv[1], () => console.log(s.address().port));`;
/** An address of this machine that is no loopback: those do not pass a tunnel. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

describeWith({ tools: proxyEdgeTools }, 'the logs of a busy run', () => {
  let world: ProxyEdge;
  let web: ChildProcess;
  let webPort: string;
  const tunnelAddresses: string[] = [];

  beforeAll(async () => {
    web = spawn(process.execPath, ['-e', page, ownAddress ?? '127.0.0.1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    webPort = await new Promise((resolve) =>
      web.stdout?.once('data', (text: Buffer) => resolve(String(text).trim())),
    );
    const unanswered = await freePort();
    world = await ProxyEdge.start((yaml) =>
      yaml
        .replace(
          /^ {2}allow: \[\].*$/m,
          `  allow: [{ cidr: ${ownAddress ?? '127.0.0.1'}/32, device: ${secrets.device} }]`,
        )
        // Resolvers that nobody reaches: names fail, which is where a careless line would be written.
        .replace(/upstreams: \[[^\]]*\]/, `upstreams: ["tls://127.0.0.1:${unanswered}"]`),
    );
    await world.runDaemon();
  });

  afterAll(async () => {
    web?.kill();
    await world?.close();
  });

  test('hold events and nothing that is private', { timeout: 300_000 }, async () => {
    await enrolment();
    traffic();
    await strangers();
    await administration();
    await endings();

    expect(world.log).toMatch(/"msg":"ready"/);
    expect(world.log.match(/\n/g)?.length).toBeGreaterThan(10);
    const destinations = [ownAddress ?? 'none', secrets.closed, secrets.metadata, '127.0.0.1'];
    for (const secret of [...Object.values(secrets), ...destinations, ...tunnelAddresses]) {
      const lines = world.log.split('\n').filter((line) => line.includes(secret));
      expect([secret, lines]).toEqual([secret, []]);
    }
    // No address of any kind, and no secret.
    expect(world.log).not.toMatch(/\b\d{1,3}(?:\.\d{1,3}){3}\b|cv[dea]_|culvert:\/\/|PrivateKey/);
    expect(world.log).not.toMatch(/"level":"error"/);
  });

  async function enrolment(): Promise<void> {
    const link = world.invite('--name', secrets.device);
    expect(world.tryCulvert('enroll', link.replace(/t=cve_....../, 't=cve_AAAAAA')).code).toBe(1);
    expect(world.tryCulvert('enroll', link.replace(/pin=sha256\/..../, 'pin=sha256/AAAA')).code).toBe(1);
    world.culvert('enroll', link);
    expect(world.tryCulvert('enroll', link).code).toBe(1);
    world.culvert('connect', '--wait');
    await vi.waitFor(() => expect(world.status().state).toBe('connected'), patience);
    tunnelAddresses.push(...world.status().addresses);
    expect(tunnelAddresses.length).toBeGreaterThan(0);
  }

  function traffic(): void {
    expect(world.curl('http://edge.culvert/trace').out).toContain(`device=${secrets.device}`);
    if (ownAddress !== undefined) {
      expect(world.curl(`http://${ownAddress}:${webPort}/`).out).toBe('a page');
    }
    for (const host of [secrets.closed, secrets.metadata, secrets.asked, '198.51.100.1:25']) {
      expect(world.curl('--max-time', '4', `http://${host}/`).code).not.toBe(0);
    }
    // An HTTP proxy too, with the name in the request.
    const proxy = world.status().proxy?.address ?? '';
    spawnSync('curl', ['-s', '--max-time', '4', '-x', `http://${proxy}`, `http://${secrets.asked}/`]);
  }

  /** Who has no business here. */
  async function strangers(): Promise<void> {
    await new Promise<void>((resolve) => {
      const socket = connectTcp(world.https, '127.0.0.1', () => socket.end(Buffer.alloc(300, 0x16)));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
    for (const head of [
      'GET /v1/admin/devices HTTP/1.1\r\nhost: x\r\nauthorization: Bearer cva_nothing',
      `POST /v1/devices HTTP/1.1\r\nhost: ${secrets.asked}\r\ncontent-type: application/json\r\ncontent-length: 1`,
      `NONSENSE ${secrets.asked}`,
    ]) {
      await new Promise<void>((resolve) => {
        const place = { host: '127.0.0.1', port: world.https, rejectUnauthorized: false };
        const socket = connect(place, () => socket.end(`${head}\r\nconnection: close\r\n\r\n{`));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
        socket.resume();
      });
    }
  }

  async function administration(): Promise<void> {
    world.culvert('feedback', secrets.words, '--with-diagnostics', '--yes');
    expect(world.edge('feedback')).toContain(secrets.words);
    world.culvert('registration', 'rotate-keys');
    world.edge('device', 'rename', secrets.device, secrets.renamed);
    world.configure((yaml) => yaml.replace(/^name: .*$/m, 'name: other'));
    world.edge('reload');
    await vi.waitFor(
      () => expect(world.curl('http://edge.culvert/trace').out).toContain('edge=other'),
      patience,
    );
    world.edge('device', 'disable', secrets.renamed);
    expect(world.curl('--max-time', '3', 'http://edge.culvert/trace').code).not.toBe(0);
    world.edge('device', 'enable', secrets.renamed);
    world.culvert('reconnect', '--wait');
    world.edge('device', 'quota', secrets.renamed, '1kB');
  }

  async function endings(): Promise<void> {
    await world.endEdge();
    await world.runEdge();
    world.edge('device', 'remove', secrets.renamed);
    world.culvert('disconnect');
    await world.endEdge();
  }
});
