// The strictest clients of our stub: unbound and delv, which check every signature of a root that the test signed itself.
// Whatever is lost or changed on the way through culvert is SERVFAIL there. The upstream is another unbound, over TLS.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { unpackDebianPackage } from '../support/debian-package.ts';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, sh } from './support/dns-world.ts';

const tools = ['ip', 'nft', 'nsenter', 'openssl', 'dig', 'delv', 'unbound', 'apt-get', 'dpkg'];
const stub = '127.0.83.53';
const upstream = { address: '203.0.113.53', port: 8853 };
const validatorPort = '5533';
/** No empty nodes: the proofs that unbound's own server gives for what is below one are wrong. */
const zone = `$TTL 300
. SOA a.example. b.example. 1 3600 600 86400 60
. NS a.example.
example. TXT "node"
signed.example. TXT "node"
wild.example. TXT "node"
a.example. A 203.0.113.53
www.signed.example. A 198.51.100.77
www.signed.example. AAAA 2001:db8::77
alias.signed.example. CNAME www.signed.example.
svc.signed.example. HTTPS 1 . alpn="h2" ipv4hint="198.51.100.77"
text.signed.example. TXT "${'long '.repeat(40)}" "${'text '.repeat(40)}" "${'here '.repeat(40)}"
*.wild.example. A 198.51.100.78
tampered.example. A 198.51.100.79
`;
const unboundUsual = `  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  do-ip6: no
  access-control: 0.0.0.0/0 allow
`;

const signer = unpackDebianPackage('bind9-utils');
const missing = signer === undefined ? ['bind9-utils (apt-get download)'] : [];

describeWith(
  { namespaces: true, tools: [...tools, ...missing] },
  'clients that validate, behind private DNS',
  () => {
    const world = new DnsWorld(process.pid % 100_000);
    const pids: number[] = [];
    let machine: Laptop;
    let anchor = '';

    beforeAll(async () => {
      await world.open();
      machine = await world.boot();
      const signed = sign();
      startUpstream(signed);
      machine.startDaemon();
      machine.ok('settings', 'set', 'dns.caFile', world.caFile);
      machine.ok('mode', 'dot');
      machine.ok('dns', 'upstream', `tls://${upstream.address}:${upstream.port}`);
      machine.connect();
      startValidator();
      await vi.waitFor(() => expect(validated('www.signed.example')).toContain('status: NOERROR'), {
        timeout: 15_000,
        interval: 500,
      });
    });

    afterAll(async () => {
      for (const pid of pids) await end(pid, 'SIGKILL');
      await machine.shutDown();
      await world.close();
      signer?.remove();
    });

    /** Signs the zone, then changes an address under its signature. Returns the file. */
    function sign(): string {
      const folder = join(world.folder, 'zone');
      mkdirSync(folder);
      const program = (name: string): string => join(signer?.root ?? '', 'usr/bin', name);
      writeFileSync(join(folder, 'root.zone'), zone);
      sh(program('dnssec-keygen'), ['-q', '-K', folder, '-a', 'ECDSAP256SHA256', '-f', 'KSK', '.']);
      sh(program('dnssec-keygen'), ['-q', '-K', folder, '-a', 'ECDSAP256SHA256', '.']);
      const file = join(folder, 'root.signed');
      const words = ['-S', '-K', folder, '-d', folder, '-o', '.', '-f', file, join(folder, 'root.zone')];
      sh(program('dnssec-signzone'), words);
      writeFileSync(file, readFileSync(file, 'utf8').replace('198.51.100.79', '198.51.100.80'));
      const keys = readdirSync(folder).filter((name) => name.endsWith('.key'));
      const key = keys
        .map((name) => readFileSync(join(folder, name), 'utf8'))
        .find((text) => / 257 3 /.test(text));
      anchor = /^\. .*DNSKEY.*$/m.exec(key ?? '')?.[0] ?? '';
      return file;
    }

    function startUpstream(signed: string): void {
      const { key, cert } = world.issueFiles(`IP:${upstream.address}`);
      const config = join(world.folder, 'upstream.conf');
      writeFileSync(
        config,
        `server:
${unboundUsual}  interface: ${upstream.address}@${upstream.port}
  tls-port: ${upstream.port}
  tls-service-key: "${key}"
  tls-service-pem: "${cert}"
  module-config: "iterator"
auth-zone:
  name: "."
  zonefile: "${signed}"
  for-downstream: yes
  for-upstream: yes
  fallback-enabled: no
`,
      );
      const child = spawn('ip', ['netns', 'exec', world.network, 'unbound', '-d', '-c', config], {
        stdio: 'ignore',
      });
      if (child.pid !== undefined) pids.push(child.pid);
    }

    function startValidator(): void {
      const config = join(machine.folder, 'validator.conf');
      writeFileSync(join(machine.folder, 'anchor'), `${anchor}\n`);
      writeFileSync(
        config,
        `server:
${unboundUsual}  interface: 127.0.0.1@${validatorPort}
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "${join(machine.folder, 'anchor')}"
  harden-dnssec-stripped: yes
forward-zone:
  name: "."
  forward-addr: ${stub}
`,
      );
      const { pid } = machine.start('unbound', '-d', '-c', config);
      if (pid !== undefined) pids.push(pid);
    }

    function validated(...words: string[]): string {
      return machine.dig('@127.0.0.1', '-p', validatorPort, '+adflag', ...words);
    }

    test.for([
      ['an address', ['www.signed.example', 'A'], 'NOERROR', '198.51.100.77'],
      ['an IPv6 address', ['www.signed.example', 'AAAA'], 'NOERROR', '2001:db8::77'],
      ['an alias', ['alias.signed.example', 'A'], 'NOERROR', '198.51.100.77'],
      ['a record of type HTTPS', ['svc.signed.example', 'HTTPS'], 'NOERROR', 'alpn="h2"'],
      ['an answer too large for UDP', ['text.signed.example', 'TXT'], 'NOERROR', 'long long'],
      ['a wildcard', ['any.thing.wild.example', 'A'], 'NOERROR', '198.51.100.78'],
      ['a name that does not exist', ['nothing.signed.example', 'A'], 'NXDOMAIN', 'SOA'],
      ['a type that does not exist', ['www.signed.example', 'MX'], 'NOERROR', 'SOA'],
    ] as const)('unbound believes %s, twice', ([, words, status, text]) => {
      for (const answer of [validated(...words), validated(...words)]) {
        expect(answer).toContain(`status: ${status}`);
        expect(answer).toMatch(/flags: qr[^;]* ad/);
        expect(answer).toContain(text);
      }
    });

    test('unbound sees through a changed answer, and gets it where it does not want to check', () => {
      expect(validated('tampered.example')).toContain('status: SERVFAIL');
      expect(machine.dig(`@${stub}`, '+cdflag', '+short', 'tampered.example')).toBe('198.51.100.80\n');
    });

    test('delv validates down from its own anchor', () => {
      const [, , , , flags = '', protocol = '', algorithm = '', ...key] = `. 0 ${anchor.slice(2)}`.split(
        /\s+/,
      );
      const file = join(machine.folder, 'delv.keys');
      const words = [flags, protocol, algorithm].join(' ');
      writeFileSync(file, `trust-anchors { . static-key ${words} "${key.join('')}"; };\n`);

      const good = machine.run('delv', `@${stub}`, '-a', file, '+root=.', 'www.signed.example', 'A');
      const none = machine.run('delv', `@${stub}`, '-a', file, '+root=.', 'nothing.signed.example', 'A');
      const bad = machine.run('delv', `@${stub}`, '-a', file, '+root=.', 'tampered.example', 'A');

      expect(good.out).toContain('; fully validated');
      expect(none.out).toContain('; negative response, fully validated');
      expect(bad.out + bad.err).toMatch(/resolution failed|insecurity proof failed|no valid/);
    });
  },
);
