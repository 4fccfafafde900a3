// What devices get from the edge's DNS: own names, special names, refusals, sizes, filters, rates.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type AnswererOptions,
  createDnsAnswerer,
  edgeCacheLimits,
  type ResolvingAnswerer,
} from '../../../../edge/dns/answerer.ts';
import { formatAddress, parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import type { DnsMessage } from '../../../../shared/core/dns/reader.ts';
import { extendedError, rcode, recordType } from '../../../../shared/core/dns/types.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { extendedErrorCodes, parsed, testQuery } from '../../../support/dns-messages.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const { a: typeA, aaaa, ptr, txt: typeTxt } = recordType;
const gateway = ['10.83.0.1', 'fd7c::1'].map((text) => parseAddress(text)!);
const laptop = ['10.83.0.2'].map((text) => parseAddress(text)!);
const udp = { overTcp: false, device: 'laptop', maxBytes: 1232 };
const tcp = { overTcp: true, device: 'laptop', maxBytes: 65_535 };
let now = 0;
let answerer: ResolvingAnswerer;

function create(more: Partial<AnswererOptions> = {}): ResolvingAnswerer {
  return createDnsAnswerer({
    clock: { kind: 'process', now: () => monoMs(now), unix: () => unixMs(0) },
    log: silentLog,
    entropy: seededEntropy(3),
    settings: { upstreams: [], family: 'off', cache: edgeCacheLimits(100) },
    names: {
      gateway,
      addressesOf: (label) => (label === 'laptop' ? laptop : undefined),
      labelOf: (address) => (formatAddress(address) === '10.83.0.2' ? 'laptop' : undefined),
    },
    ...more,
  });
}

beforeEach(() => {
  now = 0;
  answerer = create();
});
afterEach(() => answerer.close());

async function ask(query: DnsMessage, about = udp): Promise<DnsMessage> {
  return parsed(await answerer.answer(query.bytes, about));
}

const addresses = (message: DnsMessage): string[] =>
  message.addresses().map(({ address }) => formatAddress(address));

describe('names of our own', () => {
  test.each([
    ['edge.culvert', typeA, ['10.83.0.1']],
    ['Edge.CULVERT', aaaa, ['fd7c::1']],
    ['laptop.culvert', typeA, ['10.83.0.2']],
  ])('%s is answered here', async (name, type, expected) => {
    const answer = await ask(testQuery(name, type));

    expect(addresses(answer)).toEqual(expected);
    expect(answer.question?.name).toBe(name);
  });

  test.each([
    ['edge.culvert', typeTxt, rcode.noError],
    ['laptop.culvert', aaaa, rcode.noError],
    ['culvert', typeA, rcode.noError],
    ['phone.culvert', typeA, rcode.nxDomain],
    ['a.laptop.culvert', typeA, rcode.nxDomain],
    ['\\000.culvert', typeA, rcode.nxDomain],
  ])('%s type %i has no address, and that is said for a while', async (name, type, code) => {
    const answer = await ask(testQuery(name, type));

    expect(answer.rcode).toBe(code);
    expect(answer.isNegative).toBe(true);
    expect(answer.negativeTtl()).toBeGreaterThan(0);
  });

  test.each([
    ['1.0.83.10.in-addr.arpa', [4, 101, 100, 103, 101]],
    [`1.${'0.'.repeat(27)}c.7.d.f.ip6.arpa`, [4, 101, 100, 103, 101]],
    ['2.0.83.10.in-addr.arpa', [6, 108, 97, 112, 116, 111, 112]],
  ])('%s leads back', async (name, label) => {
    const answer = await ask(testQuery(name, ptr));

    expect([...answer.rdataOf(answer.answers()[0]!).subarray(0, label.length)]).toEqual(label);
  });
});

describe('what is not asked of anybody', () => {
  test.each([
    ['localhost', rcode.noError, ['127.0.0.1']],
    ['printer.local', rcode.nxDomain, []],
    ['x.onion', rcode.nxDomain, []],
    ['x.invalid', rcode.nxDomain, []],
    ['_dns.resolver.arpa', rcode.noError, []],
  ])('%s', async (name, code, expected) => {
    const answer = await ask(testQuery(name, typeA));

    expect([answer.rcode, addresses(answer)]).toEqual([code, expected]);
  });

  test('everything at once is one HINFO record', async () => {
    const answer = await ask(testQuery('www.example', recordType.any));

    expect(answer.answers().map((record) => record.type)).toEqual([recordType.hinfo]);
  });

  test.each([
    ['a transfer', testQuery('www.example', recordType.axfr)],
    ['another class', testQuery('version.bind', typeTxt, { class: 3 })],
    ['OPT as a question', testQuery('www.example', recordType.opt)],
  ])('%s is refused', async (_what, query) => {
    expect((await ask(query)).rcode).toBe(rcode.refused);
  });

  test('other operations are not there', async () => {
    const update = testQuery('www.example', typeA).bytes.with(2, 5 << 3);

    expect(parsed(await answerer.answer(update, udp)).rcode).toBe(rcode.notImp);
  });

  test('a later EDNS is refused by version', async () => {
    const query = testQuery('www.example', typeA, { edns: { udpSize: 512 } });
    const later = parsed(query.bytes.with(query.bytes.length - 5, 1));
    const answer = await ask(later);

    expect(later.opt()?.version).toBe(1);
    expect(answer.rcode).toBe(rcode.badVers);
    expect(answer.opt()?.version).toBe(0);
  });
});

describe('bytes that are no query', () => {
  test('get FORMERR or silence', async () => {
    const { bytes } = testQuery('www.example', typeA);
    const cut = await answerer.answer(bytes.subarray(0, 20), udp);

    expect(parsed(cut).rcode).toBe(rcode.formErr);
    expect(await answerer.answer(bytes.subarray(0, 11), udp)).toBeUndefined();
    expect(await answerer.answer(bytes.with(2, 0x80), udp)).toBeUndefined();
    expect(await answerer.answer(new Uint8Array(0), udp)).toBeUndefined();
    expect(parsed(await answerer.answer(bytes.with(11, 3), udp)).rcode).toBe(rcode.formErr);
  });

  test('never reject, and never get an answer longer than they may', async () => {
    const honest = testQuery('edge.culvert', typeA, { edns: { udpSize: 600 } }).bytes;
    const flips = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 6 });
    const free = create({ rate: { perSecond: 1e9, burst: 1e9 } });
    const property = fc.asyncProperty(fc.oneof(flips, fc.uint8Array({ maxLength: 80 })), async (input) => {
      let bytes = honest.slice();
      if (input instanceof Uint8Array) bytes = Uint8Array.from(input);
      else for (const [at, value] of input) bytes[at] = value;
      const answer = await free.answer(bytes, udp);
      if (answer !== undefined) expect(answer.length).toBeLessThanOrEqual(1232);
    });

    await fc.assert(property, { seed: 20261120, numRuns: 500 });
    await free.close();
  });
});

describe('without upstreams', () => {
  test('everything else is refused with a reason', async () => {
    const answer = await ask(testQuery('www.example', typeA, { edns: { udpSize: 1232 } }));

    expect(answer.rcode).toBe(rcode.refused);
    expect(extendedErrorCodes(answer)).toEqual([extendedError.prohibited]);
  });
});

describe('rates', () => {
  test('over UDP mean silence, over TCP a refusal, for this device alone, until time has passed', async () => {
    await answerer.close();
    answerer = create({ rate: { perSecond: 10, burst: 3 } });
    const query = testQuery('edge.culvert', typeA, { edns: { udpSize: 512 } });
    for (let i = 0; i < 3; i++) expect(await answerer.answer(query.bytes, udp)).toBeDefined();

    expect(await answerer.answer(query.bytes, udp)).toBeUndefined();
    expect((await ask(query, tcp)).rcode).toBe(rcode.refused);
    expect(addresses(await ask(query, { ...udp, device: 'phone' }))).toEqual(['10.83.0.1']);
    now = 100;
    expect(addresses(await ask(query))).toEqual(['10.83.0.1']);
    expect(await answerer.answer(query.bytes, udp)).toBeUndefined();
  });

  test('are kept for a bounded number of devices', async () => {
    await answerer.close();
    answerer = create({ rate: { perSecond: 0, burst: 1 } });
    const { bytes } = testQuery('edge.culvert', typeA);
    for (let i = 0; i <= 4096; i++) await answerer.answer(bytes, { ...udp, device: `d${i}` });

    expect(await answerer.answer(bytes, { ...udp, device: 'd4096' })).toBeUndefined();
    expect(await answerer.answer(bytes, { ...udp, device: 'd0' })).toBeDefined();
  });
});
