import { expect, test } from 'vitest';
import { BlockList } from '../../../../client/resolver/block-list.ts';
import { LocalDomains } from '../../../../client/resolver/local-domains.ts';
import { type Found, Pipeline, type PipelineRules } from '../../../../client/resolver/pipeline.ts';
import { QueryLog } from '../../../../client/resolver/query-log.ts';
import { RebindGuard } from '../../../../client/resolver/rebind.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { encodeName } from '../../../../shared/core/dns/name.ts';
import { type DnsMessage, readMessage } from '../../../../shared/core/dns/reader.ts';
import { extendedError, rcode, recordType } from '../../../../shared/core/dns/types.ts';
import { type OwnRecord, writeAnswer, writeQuery } from '../../../../shared/core/dns/writer.ts';

const udp = { overTcp: false, maxBytes: 4096 };
const quiet: PipelineRules = {
  localDomains: new LocalDomains([]),
  blockList: new BlockList([], []),
  rebind: undefined,
  closesCanaries: false,
  closed: undefined,
};

interface World {
  readonly pipeline: Pipeline;
  readonly log: QueryLog;
  /** Who was asked for what. */
  readonly asked: string[];
}

function world(rules: Partial<PipelineRules> = {}, outside: readonly OwnRecord[] | 'dead' = []): World {
  const asked: string[] = [];
  const log = new QueryLog();
  const answerWith = (query: DnsMessage, origin: Found['origin'], answers: readonly OwnRecord[]): Found => ({
    bytes: writeAnswer(query, { rcode: rcode.noError, answers }),
    origin,
  });
  const note = (who: string, query: DnsMessage): void => {
    asked.push(`${who} ${query.question?.name}`);
  };
  const pipeline = new Pipeline(
    { ...quiet, ...rules },
    {
      askOutside: async (query) => {
        note('outside', query);
        if (outside === 'dead') throw new Error('nobody');
        return answerWith(query, 'upstream', outside);
      },
      fromCache: (query) => {
        note('cache', query);
        return answerWith(query, 'cache', outside === 'dead' ? [] : outside).bytes;
      },
      atOnce: (_question, answer) => {
        asked.push('at once');
        answer.length = 5;
        return true;
      },
      forgetAtOnce: () => {
        asked.push('forget');
      },
      askLocal: async (query, rule) => {
        note(`local:${rule.via}`, query);
        return rule.servers.length === 0 ? undefined : answerWith(query, 'network', []);
      },
      askEdge: async (query) => {
        note('edge', query);
        return undefined;
      },
      log,
      now: () => monoMs(0),
      unixNow: () => unixMs(0),
    },
  );
  return { pipeline, log, asked };
}

function question(name: string, type: number = recordType.a, udpSize = 0): Uint8Array {
  const edns = udpSize === 0 ? {} : { edns: { udpSize } };
  return writeQuery({ id: 7, name, type, ...edns }) ?? new Uint8Array(0);
}

async function ask(pipeline: Pipeline, bytes: Uint8Array, about = udp): Promise<DnsMessage> {
  const reply = await pipeline.answer(bytes, about);
  const message = reply === undefined ? undefined : readMessage(reply);
  if (message === undefined) throw new Error('no answer');
  return message;
}

function errorCodeOf(message: DnsMessage): number | undefined {
  const option = message.options().find((one) => one.code === 15);
  return option === undefined ? undefined : (option.bytes[0] ?? 0) * 256 + (option.bytes[1] ?? 0);
}

// what is asked → who was asked, and the code of the answer
const rows: readonly [string, readonly string[], number][] = [
  ['www.example.com', ['outside www.example.com'], rcode.noError],
  ['localhost', [], rcode.noError],
  ['x.onion', [], rcode.nxDomain],
  ['printer.local', [], rcode.nxDomain],
  ['nas', ['local:network nas'], rcode.nxDomain],
  ['nas.lan', ['local:network nas.lan'], rcode.nxDomain],
  ['1.0.0.10.in-addr.arpa', ['local:network 1.0.0.10.in-addr.arpa'], rcode.nxDomain],
  ['edge.culvert', ['edge edge.culvert'], rcode.nxDomain],
  ['mail.office.example', ['local:tunnel mail.office.example'], rcode.noError],
  ['use-application-dns.net', ['outside use-application-dns.net'], rcode.noError],
];

test.each(rows)('%s is asked of %j', async (name, who, code) => {
  const office = { name: 'office.example', servers: ['192.0.2.53'], via: 'tunnel' } as const;
  const { pipeline, asked } = world({ localDomains: new LocalDomains([office]) });

  const answer = await ask(pipeline, question(name));

  expect(asked).toEqual(who);
  expect([answer.rcode, answer.id, answer.question?.name]).toEqual([code, 7, name]);
});

test.each([
  ['nas', ['outside nas'], rcode.noError],
  ['files.corp', ['outside files.corp'], rcode.noError],
  ['1.0.0.10.in-addr.arpa', ['outside 1.0.0.10.in-addr.arpa'], rcode.noError],
  ['mail.office.example', ['local:network mail.office.example'], rcode.noError],
  ['printer.local', [], rcode.nxDomain],
] as const)("where the edge's own resolver is asked, %s is asked of %j", async (name, who, code) => {
  const office = { name: 'office.example', servers: ['192.0.2.53'], via: 'network' } as const;
  const { pipeline, asked } = world({ localDomains: new LocalDomains([office], false), asksEdge: true });

  const answer = await ask(pipeline, question(name));

  expect(asked).toEqual(who);
  expect(answer.rcode).toBe(code);
});

test('a blocked name is answered with an address where nobody is, and says why', async () => {
  const { pipeline, asked } = world({ blockList: new BlockList([{ name: 'l', text: 'ads.example' }], []) });

  const v4 = await ask(pipeline, question('x.ads.example', recordType.a, 1232));
  const v6 = await ask(pipeline, question('x.ads.example', recordType.aaaa));
  const https = await ask(pipeline, question('x.ads.example', recordType.https));

  expect(v4.addresses().map(({ address }) => [...address])).toEqual([[0, 0, 0, 0]]);
  expect(errorCodeOf(v4)).toBe(extendedError.blocked);
  expect(v6.addresses()[0]?.address.every((byte) => byte === 0)).toBe(true);
  expect([https.rcode, https.answers().length]).toEqual([rcode.noError, 0]);
  expect(asked).toEqual([]);
});

test('an alias to a blocked name is blocked', async () => {
  const rdata = encodeName('tracker.ads.example') ?? new Uint8Array(0);
  const { pipeline } = world({ blockList: new BlockList([{ name: 'l', text: 'ads.example' }], []) }, [
    { type: recordType.cname, ttl: 60, rdata },
  ]);

  const answer = await ask(pipeline, question('www.example'));

  expect(answer.addresses().map(({ address }) => [...address])).toEqual([[0, 0, 0, 0]]);
});

test('an answer that leads into this network is refused only where the guard is on', async () => {
  const inside = [{ type: recordType.a, ttl: 60, rdata: Uint8Array.of(192, 168, 1, 1) }];
  const on = world({ rebind: new RebindGuard(['nas.example']) }, inside);
  const off = world({}, inside);

  expect((await ask(on.pipeline, question('evil.example'))).rcode).toBe(rcode.nxDomain);
  expect((await ask(on.pipeline, question('nas.example'))).rcode).toBe(rcode.noError);
  expect((await ask(off.pipeline, question('evil.example'))).rcode).toBe(rcode.noError);
  expect(on.pipeline.counts).toMatchObject({ rebind: 1, upstream: 1 });
});

test('where nobody answers it fails, and says so', async () => {
  const { pipeline } = world({}, 'dead');

  const answer = await ask(pipeline, question('www.example', recordType.a, 1232));

  expect(answer.rcode).toBe(rcode.servFail);
  expect(errorCodeOf(answer)).toBe(extendedError.noReachableAuthority);
});

test('closed, nothing is asked of anybody', async () => {
  const { pipeline, asked } = world({ closed: 'the tunnel is down' });

  const codes = await Promise.all(
    ['www.example', 'nas.lan', 'edge.culvert', 'localhost'].map(async (name) => {
      return (await ask(pipeline, question(name))).rcode;
    }),
  );

  expect(codes).toEqual([rcode.servFail, rcode.servFail, rcode.servFail, rcode.noError]);
  expect(asked).toEqual([]);
});

test('browsers that ask whether they may go around are told no, where that is wanted', async () => {
  const { pipeline } = world({ closesCanaries: true });

  expect((await ask(pipeline, question('use-application-dns.net'))).rcode).toBe(rcode.nxDomain);
});

test('a large answer is cut to what the asker takes, whole over TCP', async () => {
  const many = Array.from({ length: 100 }, (_, i) => ({
    type: recordType.aaaa,
    ttl: 60,
    rdata: new Uint8Array(16).fill(i),
  }));
  const { pipeline } = world({}, many);

  const plain = await ask(pipeline, question('a.example', recordType.aaaa));
  const edns = await ask(pipeline, question('a.example', recordType.aaaa, 1232));
  const tcp = await ask(pipeline, question('a.example', recordType.aaaa), {
    overTcp: true,
    maxBytes: 65_535,
  });

  expect(plain.bytes.length).toBeLessThanOrEqual(512);
  expect(plain.isTruncated).toBe(true);
  expect(edns.bytes.length).toBeLessThanOrEqual(1232);
  expect(edns.opt()).toBeDefined();
  expect([tcp.isTruncated, tcp.answers().length]).toEqual([false, 100]);
});

test('odd packets: answers are ignored, the rest is refused in the terms of DNS', async () => {
  const { pipeline, asked } = world();
  const response = question('a.example');
  response[2] = 0x80;
  const notify = question('a.example');
  notify[2] = 0x20;
  const chaos = question('version.bind', recordType.txt);
  chaos[chaos.length - 1] = 3;
  const counted = question('a.example');
  counted[7] = 5;

  expect(await pipeline.answer(response, udp)).toBeUndefined();
  expect((await ask(pipeline, notify)).rcode).toBe(rcode.notImp);
  expect((await ask(pipeline, chaos)).rcode).toBe(rcode.refused);
  expect((await ask(pipeline, counted)).rcode).toBe(rcode.formErr);
  expect((await ask(pipeline, question('a.example', recordType.axfr))).rcode).toBe(rcode.notImp);
  expect(await pipeline.answer(new Uint8Array(5), udp)).toBeUndefined();
  expect(asked).toEqual([]);
});

test('answers at once what the cache has, and only while no list says otherwise', async () => {
  const { pipeline, asked } = world();
  await ask(pipeline, question('a.example'));

  const again = pipeline.answer(question('A.example'), udp);
  const another = pipeline.answer(question('a.example', recordType.aaaa), udp);
  pipeline.rules = { ...quiet, blockList: new BlockList([{ name: 'yours', text: 'a.example' }], []) };
  const blocked = await ask(pipeline, question('a.example'));

  expect(again).toBeInstanceOf(Uint8Array);
  expect(another).toBeInstanceOf(Promise);
  expect(asked).toEqual(['outside a.example', 'cache A.example', 'outside a.example', 'forget']);
  expect(errorCodeOf(blocked) ?? blocked.rcode).toBe(0);
  expect(pipeline.counts).toMatchObject({ upstream: 2, cache: 1, blocked: 1 });
});

test('answers from bytes to bytes what it answered before, but for what has to be logged', () => {
  const { pipeline, log, asked } = world();
  const bytes = question('a.example');
  const spans = () =>
    [
      { bytes, at: 0, length: bytes.length },
      { bytes: new Uint8Array(512), at: 0, length: 512 },
    ] as const;

  const quietly = pipeline.answerAtOnce(...spans());
  log.turn(true);
  const logged = pipeline.answerAtOnce(...spans());

  expect([quietly, logged]).toEqual([true, false]);
  expect(asked).toEqual(['at once']);
  expect(pipeline.counts.cache).toBe(1);
});

test.each([
  ['www.example.com', true],
  ['nas.lan', false],
  ['nas', false],
  ['edge.culvert', false],
  ['localhost', false],
  ['x.onion', false],
  ['1.0.0.10.in-addr.arpa', false],
  ['ads.example', false],
])('%s goes to the private upstreams: %s', (name, outside) => {
  const { pipeline } = world({ blockList: new BlockList([{ name: 'l', text: 'ads.example' }], []) });
  const query = readMessage(question(name));

  expect(query && pipeline.goesOutside(query)).toBe(outside);
});
