// Resolvers of other people as clients of our stub, beside those of dns-answers.test.ts: dnspython, and musl, which asks
// for both families at once on one socket and takes the first answer.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith, findProgram } from '../support/requires.ts';
import { DnsWorld, type Laptop } from './support/dns-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl'] };
const viaDoh = '198.51.100.1';
const stub = '127.0.83.53';
/** Debian's own: another may stand before it in PATH, without the packages. */
const python = '/usr/bin/python3';
const hasDnspython = spawnSync(python, ['-c', 'import dns.query']).status === 0;
const muslCompiler = findProgram('musl-gcc');

const asker = `
import socket, struct
import dns.edns, dns.flags, dns.message, dns.query, dns.rcode, dns.rdatatype
stub = '${stub}'
def q(name, kind='A', **more):
    return dns.message.make_query(name, kind, **more)
print('udp', dns.query.udp(q('www.example'), stub, timeout=5).answer[0][0])
print('tcp', dns.query.tcp(q('www.example'), stub, timeout=5).answer[0][0])
answer = dns.query.udp(q('www.example', use_edns=0, payload=1232, want_dnssec=True), stub, timeout=5)
print('edns', answer.edns, bool(answer.ednsflags & dns.flags.DO))
answer, tcp = dns.query.udp_with_fallback(q('big.example', 'TXT', use_edns=0, payload=1232), stub, timeout=5)
print('big', tcp, len(answer.answer[0]))
print('missing', dns.rcode.to_text(dns.query.udp(q('missing.example'), stub, timeout=5).rcode()))
wires = [q('n%d.example' % i, id=i + 1).to_wire() for i in range(40)]
with socket.create_connection((stub, 53), timeout=5) as line:
    line.sendall(b''.join(struct.pack('!H', len(wire)) + wire for wire in wires))
    got = b''
    ids = set()
    while len(ids) < len(wires):
        got += line.recv(65536)
        while len(got) >= 2 and len(got) >= 2 + struct.unpack('!H', got[:2])[0]:
            size = struct.unpack('!H', got[:2])[0]
            ids.add(dns.message.from_wire(got[2:2 + size]).id)
            got = got[2 + size:]
print('pipelined', len(ids))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd:
    whole = q('www.example', use_edns=0).to_wire()
    for i in range(10000):
        cut = whole[:i % len(whole)] + bytes([i % 256]) * (i % 3)
        odd.sendto(cut, (stub, 53))
print('odd', dns.query.udp(q('www.example'), stub, timeout=20).answer[0][0])
`;

const program = `
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int count, char **names) {
  for (int i = 1; i < count; i++) {
    struct addrinfo *found = 0, hints = { .ai_socktype = SOCK_STREAM };
    int code = getaddrinfo(names[i], 0, &hints, &found);
    if (code) printf("%s\\n", gai_strerror(code));
    char text[64] = "";
    for (; !code && found; found = found->ai_next) {
      if (found->ai_family != AF_INET) continue;
      inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
      printf("%s\\n", text);
    }
  }
}
`;

describeWith(needs, 'the stub and resolvers of other people', () => {
  const world = new DnsWorld((process.pid + 25_000) % 100_000);
  let laptop: Laptop;

  beforeAll(async () => {
    await world.open();
    laptop = await world.boot();
    laptop.protect('doh');
  });
  afterAll(async () => {
    await laptop?.shutDown();
    await world.close();
  });

  test.skipIf(!hasDnspython)(
    `dnspython${hasDnspython ? '' : ' [missing; enable with: apt-get install python3-dnspython]'}: every transport, EDNS, pipelining, 10 000 odd packets`,
    () => {
      const file = join(laptop.folder, 'ask.py');
      writeFileSync(file, asker);

      const { out, err } = laptop.run(python, file);

      expect(err).toBe('');
      expect(out.trim().split('\n')).toEqual([
        `udp ${viaDoh}`,
        `tcp ${viaDoh}`,
        'edns 0 True',
        'big True 30',
        'missing NXDOMAIN',
        'pipelined 40',
        `odd ${viaDoh}`,
      ]);
    },
  );

  test.skipIf(muslCompiler === undefined)(
    `getaddrinfo of musl${muslCompiler === undefined ? ' [missing; enable with: apt-get install musl-tools]' : ''}`,
    () => {
      const [source, binary] = [join(laptop.folder, 'ask.c'), join(laptop.folder, 'ask')];
      writeFileSync(source, program);
      const compiled = spawnSync(muslCompiler ?? '', ['-static', '-o', binary, source], { encoding: 'utf8' });

      const { out } = laptop.run(binary, 'musl.example', 'missing.example', 'localhost');

      expect(compiled.stderr).toBe('');
      expect(out.trim().split('\n')).toEqual([
        viaDoh,
        expect.stringMatching(/not.*(resolve|exist)/i),
        '127.0.0.1',
      ]);
    },
  );
});
