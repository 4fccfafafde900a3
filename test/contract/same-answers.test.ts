// The same questions to unbound directly and through us: the same answers but for TTLs and who is the authority.
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createDnsAnswerer, edgeCacheLimits, type ResolvingAnswerer } from '../../edge/dns/answerer.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import { processClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { describeWith } from '../support/requires.ts';
import { createTestCa, type TestCa } from '../support/test-ca.ts';

const { a, aaaa, cname, mx, txt, srv, https, soa, ns } = recordType;
const caa = 257;
const unknown = 65_280;
const types = [a, aaaa, cname, mx, txt, srv, https, soa, ns, caa, unknown];
const names = ['www', 'Www', 'alias', 'mail', 'big', 'odd', 'nobody', 'a.b.c.www', ''].map((label) =>
  label === '' ? 'same.example' : `${label}.same.example`,
);
const zone = `
  local-zone: "same.example." static
  local-data: "same.example. 300 IN SOA ns.same.example. root.same.example. 1 2 3 4 60"
  local-data: "same.example. 300 IN NS ns.same.example."
  local-data: "www.same.example. 300 IN A 192.0.2.1"
  local-data: "www.same.example. 300 IN A 192.0.2.2"
  local-data: "www.same.example. 60 IN AAAA 2001:db8::1"
  local-data: 'www.same.example. 60 IN TYPE65 \\\\# 10 00010000010003026832'
  local-data: "mail.same.example. 300 IN MX 10 www.same.example."
  local-data: "mail.same.example. 300 IN SRV 1 2 25 www.same.example."
  local-data: 'mail.same.example. 300 IN CAA 0 issue "ca.example"'
  local-data: "alias.same.example. 300 IN CNAME www.same.example."
  local-data: "odd.same.example. 300 IN TYPE65280 \\\\# 4 00ff10c0"
${Array.from({ length: 20 }, (_, i) => `  local-data: 'big.same.example. 300 IN TXT "${String(i).padStart(200, 'x')}"'`).join('\n')}
`;

describeWith({ tools: ['unbound', 'openssl'] }, 'through the resolver', () => {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-same-'));
  let ca: TestCa;
  let unbound: ChildProcess;
  let answerer: ResolvingAnswerer;
  let plain: number;

  beforeAll(async () => {
    ca = createTestCa();
    const { cert, key } = ca.issueFiles('IP:127.0.0.1');
    plain = await freePort();
    const dot = await freePort();
    const config = join(folder, 'unbound.conf');
    writeFileSync(
      config,
      `server:
  interface: 127.0.0.1@${plain}
  interface: 127.0.0.1@${dot}
  tls-port: ${dot}
  tls-service-key: ${key}
  tls-service-pem: ${cert}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  rrset-roundrobin: no
  minimal-responses: yes
${zone.replaceAll('\\\\#', '\\#')}`,
    );
    unbound = spawn('unbound', ['-d', '-c', config], { stdio: 'ignore' });
    await vi.waitFor(() => answers(dot), { timeout: 20_000, interval: 100 });
    answerer = createDnsAnswerer({
      clock: processClock(),
      log: silentLog,
      entropy: systemEntropy(),
      settings: {
        upstreams: [`tls://127.0.0.1:${dot}`],
        family: 'off',
        cache: edgeCacheLimits(1000),
        caFile: ca.file,
      },
      names: { gateway: [], addressesOf: () => undefined },
      rate: { perSecond: 1e6, burst: 1e6 },
    });
  });

  afterAll(async () => {
    await answerer?.close();
    if (unbound !== undefined && unbound.exitCode === null) {
      unbound.kill();
      await once(unbound, 'exit');
    }
    ca?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ['asked for the first time', false],
    ['from the cache, with DO', true],
  ])('the answers are those of unbound itself, %s', async (_when, dnssecOk) => {
    let compared = 0;
    for (const name of names) {
      for (const type of types) {
        const query = writeQuery({ id: 7, name, type, edns: { udpSize: 4096, dnssecOk } });
        if (query === undefined) throw new Error('no query');
        const direct = await askUdp(plain, query);
        for (let times = 0; times < (dnssecOk ? 3 : 1); times++) {
          const ours = await answerer.answer(query, { overTcp: true, device: 'test', maxBytes: 65_535 });
          expect([name, type, told(ours)]).toEqual([name, type, told(direct)]);
        }
        compared++;
      }
    }
    expect(compared).toBe(names.length * types.length);
  });
});

/** What an answer says, apart from TTLs, order, and who says it. */
function told(bytes: Uint8Array | undefined): unknown {
  const message: DnsMessage | undefined = bytes === undefined ? undefined : readMessage(bytes);
  if (message === undefined) return undefined;
  const records = message.records().filter((record) => record.type !== recordType.opt);
  return {
    code: message.rcode,
    name: message.question?.name,
    isCut: message.isTruncated,
    records: records
      .map((record) => {
        const owner = message.ownerOf(record)?.toLowerCase();
        const value = Buffer.from(message.rdataOf(record)).toString('hex');
        return `${record.section} ${owner} ${record.type} ${value}`;
      })
      .toSorted((one, two) => one.localeCompare(two)),
  };
}

async function askUdp(port: number, query: Uint8Array): Promise<Uint8Array> {
  const socket = createSocket('udp4');
  try {
    socket.send(query, port, '127.0.0.1');
    const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    // `big` does not fit: then over TCP, by a program that everybody trusts.
    if ((bytes[2]! & 2) === 0) return bytes;
    return await askTcp(port, query);
  } finally {
    socket.close();
  }
}

async function askTcp(port: number, query: Uint8Array): Promise<Uint8Array> {
  const socket = connect(port, '127.0.0.1');
  const parts: Buffer[] = [];
  socket.write(Buffer.concat([Buffer.of(query.length >> 8, query.length & 0xff), query]));
  for await (const part of socket) {
    parts.push(part as Buffer);
    const whole = Buffer.concat(parts);
    if (whole.length >= 2 && whole.length >= 2 + whole.readUInt16BE(0)) return whole.subarray(2);
  }
  throw new Error('no answer');
}

async function answers(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
