import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AnyRoute, allRoutes } from '../../../../edge/registration/openapi.ts';
import { seededRandom } from '../../../support/seeded.ts';
import { faultOfProblem, RegistrationWorld, type Sent } from './registration-world.ts';

let world: RegistrationWorld;
let bearers: Record<string, string>;

beforeAll(async () => {
  world = await RegistrationWorld.open({
    limits: {
      source: { perSecond: 1e6, burst: 1e6 },
      failures: { perSecond: 1e6, burst: 1e6 },
      caller: { perSecond: 1e6, burst: 1e6 },
    },
  });
  const { bearer } = await world.enrolled();
  bearers = { device: bearer, auditor: await world.adminKey('owner') };
});
afterAll(() => world.close());

/** Everything that is kept. */
async function everything(): Promise<string> {
  const { store } = world;
  return JSON.stringify([
    await store.devices(),
    await store.invites(),
    await store.adminKeys(),
    await store.audit({ limit: 1000 }),
    await store.revision(),
  ]);
}

const random = seededRandom(10);
const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;

/** Bodies that no call takes. */
const wrongBodies: readonly (() => Sent)[] = [
  () => ({ raw: '' }),
  () => ({ raw: '{' }),
  () => ({ raw: '{"name":}' }),
  () => ({ raw: '\u0000\u0001\u0002' }),
  () => ({ raw: 'null' }),
  () => ({ raw: '"text"' }),
  () => ({ raw: '[]' }),
  () => ({ raw: '[{"name":"x"}]' }),
  () => ({ raw: '42' }),
  () => ({ raw: '{"__proto__":{"admin":true},"name":"x"}' }),
  () => ({ raw: '{"constructor":{"prototype":{}}}' }),
  () => ({ raw: `{"name":"${'x'.repeat(20_000)}"}` }),
  () => ({ raw: '['.repeat(5000) }),
  () => ({ body: { unknown: random() } }),
  () => ({
    body: { name: pick([1, true, null, [], {}, '', ' x', '-x', 'x'.repeat(64), 'a\nb', '../x', '<b>']) },
  }),
  () => ({ body: { path: pick([1, null, '', '../x', 'x y', 'x'.repeat(40), {}]) } }),
  () => ({ body: { role: 'root', name: 'x' } }),
  () => ({ body: { uses: pick([0, -1, 1.5, 1e9, '1', null]) } }),
  () => ({ body: { ttlSeconds: pick([0, -1, 1e12, 'x', null]) } }),
  () => ({ body: { quotaBytes: pick([-1, 1.5, 1e300, '5']) } }),
  () => ({ body: { enabled: pick(['true', 1, null]) } }),
  () => ({ body: { expiresAt: pick(['tomorrow', 5, '2027-01-31', '2027-13-77T99:99:99Z']) } }),
  () => ({ body: { publicKey: pick(['', 'x', 'A'.repeat(44), `${'A'.repeat(42)}B=`, 5]), name: 'x' } }),
  () => ({ body: { token: 'x', publicKey: 'x', challenge: 'x', proof: 'x' } }),
  () => ({ raw: '{"name":"x"}', headers: { 'content-type': 'text/plain' } }),
  () => ({ raw: 'name=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
  () => ({ raw: '<name/>', headers: { 'content-type': 'application/xml' } }),
  () => ({ raw: '{}', headers: { 'content-type': 'nonsense' } }),
];

function pathOf(route: AnyRoute): string {
  return route.path.replace(
    ':id',
    pick(['nobody', 'x', '%00', '..%2f..', '%F0%9F%92%A9', "'--", 'a'.repeat(99)]),
  );
}

describe('500 malformed requests', () => {
  test('of every call get a problem of 4xx, and change nothing', async () => {
    const before = await everything();
    const routes = Object.values(allRoutes).filter((route) => route.body !== undefined);
    const faults: string[] = [];
    for (let i = 0; i < 350; i++) {
      const route = routes[i % routes.length]!;
      const sent = wrongBodies[i % wrongBodies.length]!();
      const bearer = bearers[route.access === 'device' ? 'device' : 'auditor']!;
      const reply = await world.send(route.method, pathOf(route), { bearer, ...sent });
      const fault = reply.status >= 400 && reply.status < 500 ? faultOfProblem(reply) : `${reply.status}`;
      if (fault !== undefined)
        faults.push(`${route.method} ${route.path} ${JSON.stringify(sent).slice(0, 80)}: ${fault}`);
    }

    expect(faults).toEqual([]);
    expect(await everything()).toBe(before);
    expect(world.errors).toEqual([]);
  });

  test('to places and with methods and headers that are none, too', async () => {
    const before = await everything();
    const faults: string[] = [];
    const places = [
      '/',
      '/v1',
      '/v1/',
      '/v2/devices',
      '/v1/devices/you',
      '/v1/admin',
      '/%',
      '/%zz',
      '/v1/admin/devices/%',
      '//',
      '/v1/config/',
      '/v1/admin/audit?limit=0',
      '/v1/admin/devices?limit=9999',
      '/v1/admin/devices?after=%00',
      `/${'x'.repeat(3000)}`,
      '/v1/admin/devices?limit=1&limit=2',
    ];
    const methods = [
      'GET',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'HEAD',
      'PROPFIND',
      'TRACE',
      'SEARCH',
    ];
    const secrets = [
      '',
      'Bearer',
      'Basic eDp5',
      'Bearer x',
      `Bearer cvd_${'A'.repeat(43)}`,
      `Bearer cva_${'A'.repeat(43)}`,
      `Bearer ${'x'.repeat(2000)}`,
    ];
    for (let i = 0; i < 110; i++) {
      const isPlace = i % 2 === 0;
      const method = isPlace ? pick(methods) : 'GET';
      const path = isPlace ? pick(places) : pick(['/v1/config', '/v1/admin/devices', '/v1/devices/me']);
      const headers: Record<string, string> = isPlace ? {} : { authorization: pick(secrets) };
      const reply = await world.send(method, path, isPlace ? { bearer: bearers['auditor']! } : { headers });
      const isProblem = method === 'HEAD' || faultOfProblem(reply) === undefined;
      if (!isProblem || reply.status < 400 || reply.status >= 500) {
        faults.push(`${method} ${path} ${JSON.stringify(headers)}: ${reply.status} ${reply.text}`);
      }
    }

    expect(faults).toEqual([]);
    expect(await everything()).toBe(before);
  });

  test('that are no HTTP get a problem as well, or silence', async () => {
    const before = await everything();
    const head = 'GET /v1/devices/me HTTP/1.1\r\n';
    const bytes: readonly (readonly [string | Buffer, number])[] = [
      ['hello\r\n\r\n', 400],
      ['GET\r\n\r\n', 400],
      ['GET / HTTP/9.9\r\n\r\n', 400],
      [`${head}no colon\r\n\r\n`, 400],
      [`${head}a b: c\r\n\r\n`, 400],
      [`${head}content-length: x\r\n\r\n`, 400],
      [`${head}content-length: 1\r\ncontent-length: 2\r\n\r\n`, 400],
      [`${head}transfer-encoding: x\r\n\r\n`, 400],
      [`${head}x: ${'y'.repeat(10_000)}\r\n\r\n`, 431],
      [`${head}host: x\r\nexpect: tea\r\n\r\n`, 417],
      ['CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n', 405],
      ['POST /v1/devices HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 400],
      [Buffer.from('1603010200010001fc0303', 'hex'), 400],
      ['GET http://example.com/ HTTP/1.1\r\nhost: x\r\n\r\n', 404],
    ];
    const faults: string[] = [];
    let count = 0;
    for (let round = 0; round < 3; round++) {
      for (const [text, status] of bytes) {
        const reply = await world.sendRaw(text);
        count++;
        const isProblem = new RegExp(
          `^HTTP/1.1 ${status} [^]*application/problem\\+json[^]*"status":${status}`,
        ).test(reply);
        if (!isProblem) faults.push(`${JSON.stringify(String(text)).slice(0, 60)} → ${reply.slice(0, 120)}`);
      }
    }

    expect(faults).toEqual([]);
    expect(count).toBeGreaterThanOrEqual(40);
    expect(await everything()).toBe(before);
    expect((await world.send('GET', '/v1/challenge')).status).toBe(200);
  });

  test('that are no TLS are hung up on, and whoever comes next is served', async () => {
    const before = await everything();
    const hello = Buffer.from('16030100300100002c0303', 'hex');
    const noise = (length: number): Buffer =>
      Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
    const openings: readonly Buffer[] = [
      Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
      Buffer.from('SSH-2.0-nobody\r\n'),
      Buffer.alloc(0),
      Buffer.alloc(5000),
      hello,
      Buffer.concat([hello, noise(40)]),
      Buffer.from('1603010005', 'hex'),
      Buffer.from('160301ffff', 'hex'),
      Buffer.from('15030300020228', 'hex'),
      Buffer.from('8080010301', 'hex'),
      ...Array.from({ length: 40 }, (_, i) => noise(1 + i * 37)),
    ];

    // What comes back, if anything, is an alert of TLS.
    const answers = await Promise.all(openings.map(plainExchange));

    expect(answers.filter((answer) => answer.length > 0 && answer[0] !== 0x15)).toEqual([]);
    expect(await everything()).toBe(before);
    expect(world.errors).toEqual([]);
    expect((await world.send('GET', '/v1/challenge')).status).toBe(200);
  });

  test('that are huge or a flood of headers are refused before they are read whole', async () => {
    const before = await everything();
    const flood = Array.from({ length: 300 }, (_, i) => `x-${i}: ${'y'.repeat(40)}`).join('\r\n');
    const post = 'POST /v1/devices HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const bytes: readonly (readonly [string, number])[] = [
      [`GET /v1/devices/me HTTP/1.1\r\nhost: x\r\n${flood}\r\n\r\n`, 431],
      [`GET /${'z'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
      [`${post}content-length: 1000000000\r\n\r\n{`, 413],
      [`${post}content-length: 99999999999999999999\r\n\r\n{`, 400],
      [`${post}transfer-encoding: chunked\r\n\r\n${chunk.repeat(4)}0\r\n\r\n`, 413],
      [`${post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ];
    const faults: string[] = [];
    for (const [text, status] of bytes) {
      const reply = await world.sendRaw(text);
      if (!new RegExp(`^HTTP/1.1 ${status} [^]*"status":${status}`).test(reply)) {
        faults.push(`${text.slice(0, 100)} → ${reply.slice(0, 200)}`);
      }
    }

    expect(faults).toEqual([]);
    expect(await everything()).toBe(before);
  });
});

/** Over TCP alone: all that comes until it is over. */
function plainExchange(bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connectTcp({ host: '127.0.0.1', port: world.port }, () => socket.end(bytes));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

describe('the description of the API', () => {
  test('is OpenAPI 3.1, names every call, and every answer fits it', async () => {
    const reply = await world.send('GET', '/openapi.json');
    const operations = Object.values(reply.json.paths as Record<string, object>).flatMap(Object.values) as {
      operationId: string;
    }[];

    expect(reply.json.openapi).toBe('3.1.0');
    expect(operations.map(({ operationId }) => operationId).toSorted()).toEqual(
      Object.keys(allRoutes).toSorted(),
    );
    expect(JSON.stringify(reply.json.paths['/v1/devices'].post)).toContain('"publicKey"');
  });

  test('has no answer before authentication that is larger than a kilobyte, but itself', async () => {
    for (const path of ['/v1/challenge', '/v1/devices/me', '/nothing', '/v1/admin/devices']) {
      const reply = await world.send('GET', path);

      expect(reply.text.length).toBeLessThan(400);
    }
  });
});
