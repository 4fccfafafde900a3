// The API over HTTP/2, which browsers and curl choose by themselves: the same answers, and bounded.
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RegistrationWorld } from './registration-world.ts';

let world: RegistrationWorld;
let session: ClientHttp2Session;

beforeEach(async () => {
  world = await RegistrationWorld.open();
  session = connect(`https://127.0.0.1:${world.port}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
});
afterEach(async () => {
  session.destroy();
  await world.close();
});

async function send(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<{ readonly status: unknown; readonly type: unknown; readonly text: string }> {
  const hasBody = body !== '';
  const fields = { ':method': method, ':path': path, ...headers };
  const stream = session.request(fields, { endStream: !hasBody });
  stream.on('error', () => undefined);
  if (hasBody) stream.end(body);
  const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return { status: answer[':status'], type: answer['content-type'], text };
}

test('describes itself', async () => {
  const { status, text } = await send('GET', '/openapi.json');

  expect(status).toBe(200);
  expect(JSON.parse(text)).toHaveProperty('openapi');
});

test('gives a challenge, and refuses who shows no secret', async () => {
  expect(await send('GET', '/v1/challenge')).toMatchObject({ status: 200 });
  expect(await send('GET', '/v1/devices/me')).toMatchObject({
    status: 401,
    type: 'application/problem+json',
  });
});

test('refuses what does not fit, what is too large and what there is not', async () => {
  const json = { 'content-type': 'application/json' };
  expect(await send('POST', '/v1/devices', json, '{"token":1}')).toMatchObject({ status: 400 });
  expect(await send('POST', '/v1/devices', json, `"${'x'.repeat(20_000)}"`)).toMatchObject({ status: 413 });
  expect(await send('GET', '/nothing')).toMatchObject({ status: 404 });
  expect(await send('GET', '/openapi.json', { expect: '200-maybe' })).toMatchObject({ status: 417 });
});

test('opens no tunnel to anywhere by plain CONNECT', async () => {
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'example.com:443' });
  stream.on('error', () => undefined);

  const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];

  expect(answer[':status']).toBe(405);
});

test('takes no more streams of one connection than it says', async () => {
  await once(session, 'remoteSettings');

  expect(session.remoteSettings.maxConcurrentStreams).toBe(32);
  expect(session.remoteSettings.enablePush).toBe(false);
});
