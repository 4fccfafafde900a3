// The edge's DNS on real upstreams on loopback: DoT and DoH with a certificate authority of the test.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  type AnswererOptions,
  createDnsAnswerer,
  edgeCacheLimits,
  type ResolvingAnswerer,
} from '../../edge/dns/answerer.ts';
import type { DnsMessage } from '../../shared/core/dns/reader.ts';
import { ednsOption, rcode, recordType } from '../../shared/core/dns/types.ts';
import { processClock } from '../../shared/node/clock.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { a, extendedErrorCodes, parsed, testAnswer, testQuery, txt } from '../support/dns-messages.ts';
import { startServer, type TestServer } from '../support/dns-servers.ts';
import { checkNeeds, describeWith } from '../support/requires.ts';
import { seededEntropy } from '../support/seeded.ts';
import { createTestCa, type TestCa, type TestCertificate } from '../support/test-ca.ts';

const needs = { tools: ['openssl'] };
const { a: typeA, txt: typeTxt } = recordType;
const udp = { overTcp: false, device: 'laptop', maxBytes: 1232 };
const tcp = { overTcp: true, device: 'laptop', maxBytes: 65_535 };
let ca: TestCa;
let certificate: TestCertificate;
let dot: TestServer;
let doh: TestServer;
let answerer: ResolvingAnswerer;

beforeAll(() => {
  if (!checkNeeds(needs).ok) return;
  ca = createTestCa();
  certificate = ca.issue('IP:127.0.0.1', 'DNS:dns.example');
});
afterAll(() => ca?.remove());

async function ask(query: DnsMessage, about: typeof udp = udp): Promise<DnsMessage> {
  return parsed(await answerer.answer(query.bytes, about));
}

function create(upstreams: readonly string[], more: Partial<AnswererOptions> = {}): ResolvingAnswerer {
  const settings = { upstreams, family: 'off' as const, cache: edgeCacheLimits(1000), caFile: ca.file };
  const names = { gateway: [], addressesOf: () => undefined };
  const place = { clock: processClock(), log: silentLog, entropy: seededEntropy(3) };
  return createDnsAnswerer({ ...place, settings, names, ...more });
}

describeWith(needs, 'the DNS of the edge', () => {
  beforeEach(async () => {
    dot = await startServer('dot', certificate);
    doh = await startServer('doh', certificate);
    answerer = create([`tls://127.0.0.1:${dot.port}`, `https://127.0.0.1:${doh.port}/dns-query`]);
  });
  afterEach(async () => {
    await answerer.close();
    await dot.stop();
    await doh.stop();
  });

  test('asks the first upstream and keeps its answer', async () => {
    const first = await ask(testQuery('Www.Example', typeA));
    const second = await ask(testQuery('wWW.example', typeA));

    expect([first.question?.name, second.question?.name]).toEqual(['Www.Example', 'wWW.example']);
    expect(second.addresses().length).toBe(1);
    expect([dot.queries.length, doh.queries.length]).toEqual([1, 0]);
    expect(answerer.state()[0]).toMatchObject({ family: 'off', cacheEntries: 1 });
  });

  test('tells an upstream nothing about who asks', async () => {
    const query = testQuery('www.example', typeA, { edns: { udpSize: 4096, dnssecOk: true } });
    await ask(query);
    const sent = parsed(dot.queries[0]);

    expect(sent.bytes.length).toBe(128);
    expect(sent.options().map(({ code }) => code)).toEqual([ednsOption.padding]);
    expect(sent.opt()).toMatchObject({ udpSize: 1232, dnssecOk: true });
  });

  test('goes on with the other upstream when the first is gone, and one answer later it never shows', async () => {
    await ask(testQuery('a.example', typeA));
    await dot.stop();
    const answers = await Promise.all(['b.example', 'c.example'].map((name) => ask(testQuery(name, typeA))));

    expect(answers.map((answer) => answer.rcode)).toEqual([0, 0]);
    expect(doh.queries.length).toBe(2);
  });

  test('cuts what is too long for UDP by whole sets, and gives it whole over TCP from the cache', async () => {
    const answers = [
      a('big.example', '192.0.2.1'),
      ...Array.from({ length: 12 }, (_, i) => txt('big.example', 200 + i)),
    ];
    dot.behaviour = (query) =>
      testAnswer({ id: parsed(query).id, name: 'big.example', type: typeTxt, answers, opt: true });
    const sizes: [number | undefined, number][] = [
      [undefined, 512],
      [1232, 1232],
      [4096, 1232],
      [100, 512],
    ];
    for (const [udpSize, limit] of sizes) {
      const more = udpSize === undefined ? {} : { edns: { udpSize } };
      const cut = await ask(testQuery('big.example', typeTxt, more));
      expect(cut.isTruncated).toBe(true);
      expect(cut.bytes.length).toBeLessThanOrEqual(limit);
      expect(cut.isWellFormed).toBe(true);
      expect(cut.opt() !== undefined).toBe(udpSize !== undefined);
      expect(cut.answers().map((record) => record.type)).toEqual([typeA]);
    }
    const whole = await ask(testQuery('big.example', typeTxt), tcp);

    expect(whole.isTruncated).toBe(false);
    expect(whole.answers().length).toBe(13);
    expect(dot.queries.length).toBe(1);
  });

  test('passes on what it does not understand as it came', async () => {
    const odd = {
      name: 'odd.example',
      type: 65,
      ttl: 60,
      rdata: Uint8Array.of(0, 1, 0, 0, 1, 0, 3, 2, 104, 50),
    };
    dot.behaviour = (query) =>
      testAnswer({ id: parsed(query).id, name: 'odd.example', type: 65, answers: [odd] });
    const answer = await ask(testQuery('odd.example', 65));

    expect(answer.rdataOf(answer.answers()[0]!)).toEqual(odd.rdata);
  });

  test('keeps filters of devices apart, in upstreams and in the cache', async () => {
    await answerer.close();
    const familyOf = (device: string) => (device === 'child' ? ('full' as const) : undefined);
    answerer = create([`tls://127.0.0.1:${dot.port}`], { familyOf });
    await ask(testQuery('www.example', typeA));
    await ask(testQuery('www.example', typeA), { ...udp, device: 'child' });

    expect(dot.queries.length).toBe(2);
    expect(answerer.state().map(({ family }) => family)).toEqual(['off', 'full']);
    const canary = testQuery('use-application-dns.net', typeA);
    expect((await ask(canary, { ...udp, device: 'child' })).rcode).toBe(rcode.nxDomain);
    expect((await ask(canary)).rcode).toBe(rcode.noError);
  });

  test('answers at once what it has answered before, to each device from its own filter, as often as it may ask', async () => {
    await answerer.close();
    const familyOf = (device: string) => (device === 'child' ? ('full' as const) : undefined);
    const rate = { perSecond: 0, burst: 4 };
    answerer = create([`tls://127.0.0.1:${dot.port}`], { familyOf, rate });
    const query = testQuery('www.example', typeA);
    const atOnce = (device: string): number | undefined => {
      const answer = { bytes: new Uint8Array(1232), at: 0, length: 1232 };
      const question = { bytes: query.bytes, at: 0, length: query.bytes.length };
      const now = processClock().now();
      return answerer.answerAtOnce(question, answer, { device, now }) ? answer.length : undefined;
    };

    const before = atOnce('laptop');
    await ask(query);
    const known = await ask(query);
    const answered = [atOnce('laptop'), atOnce('laptop')];
    const tooOften = atOnce('laptop');
    const child = atOnce('child');

    expect([before, child]).toEqual([undefined, undefined]);
    expect(answered).toEqual([known.bytes.length, known.bytes.length]);
    expect(tooOften).toBe(0);
  });

  test('never falls back to anything when the certificate is wrong', async () => {
    await answerer.close();
    answerer = create([`tls://127.0.0.1:${dot.port}#other.example`]);
    const answer = await ask(testQuery('www.example', typeA, { edns: { udpSize: 1232 } }));

    expect(answer.rcode).toBe(rcode.servFail);
    expect(extendedErrorCodes(answer)).toEqual([23]);
    expect(dot.queries).toEqual([]);
  });

  test('finds an upstream by name through one that it knows by address', async () => {
    await answerer.close();
    dot.behaviour = (query) =>
      parsed(query).question?.name === 'dns.example' && parsed(query).question?.type === typeA
        ? testAnswer({
            id: parsed(query).id,
            name: 'dns.example',
            type: typeA,
            answers: [a('dns.example', '127.0.0.1')],
          })
        : parsed(query).question?.name === 'dns.example'
          ? testAnswer({ id: parsed(query).id, name: 'dns.example', type: recordType.aaaa })
          : testAnswer({ id: parsed(query).id, name: 'www.example', type: typeA, rcode: 2 });
    answerer = create([`tls://127.0.0.1:${dot.port}`, `https://dns.example:${doh.port}/dns-query`]);
    const answer = await ask(testQuery('www.example', typeA));

    expect(answer.addresses().length).toBe(1);
    expect(doh.queries.length).toBe(1);
  });

  test('answers who waits when it is closed', async () => {
    const asked = new Promise<void>((resolve) => {
      dot.behaviour = () => {
        resolve();
        return undefined;
      };
    });
    const answer = ask(testQuery('www.example', typeA));
    await asked;
    await answerer.close();

    expect((await answer).rcode).toBe(rcode.servFail);
    expect(await answerer.answer(testQuery('www.example', typeA).bytes, udp)).toBeUndefined();
  });
});
