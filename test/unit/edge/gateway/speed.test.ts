/** The page for measuring: as many zeros as were asked for, within its limit, and no faster than they are read. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { GatewayHttp } from '../../../../edge/gateway/http.ts';
import { maxSpeedBytes, speedBytes } from '../../../../edge/gateway/speed.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { streamPair } from '../../../support/stream-pair.ts';

describe('the request', () => {
  test.each([
    ['GET', '/speed?bytes=0', 0],
    ['GET', '/speed?bytes=1000', 1000],
    ['GET', 'http://edge.culvert/speed?bytes=7', 7],
    ['GET', '/speed?bytes=999999999999', maxSpeedBytes],
    ['GET', '/speed', undefined],
    ['GET', '/speed?bytes=-1', undefined],
    ['GET', '/speed?bytes=1e9', undefined],
    ['GET', '/speed?bytes=9999999999999', undefined],
    ['GET', '/trace?bytes=5', undefined],
    ['GET', '/x/speed?bytes=5', undefined],
    ['POST', '/speed?bytes=5', undefined],
    ['HEAD', '/speed?bytes=5', undefined],
  ])('%s %s asks for %s bytes', (method, target, bytes) => {
    expect(speedBytes(method, target)).toBe(bytes);
  });
});

describe('the answer', () => {
  const gateway = (): GatewayHttp =>
    new GatewayHttp({ edgeName: () => 'home', deviceOf: () => 'laptop', unixNow: () => unixMs(0) });
  const ask = (bytes: number): string => `GET /speed?bytes=${bytes} HTTP/1.1\r\nhost: edge.culvert\r\n\r\n`;

  test('has exactly the bytes that were asked for, and the next request is heard', async () => {
    const [near, far] = streamPair();
    gateway().serve(far, '10.83.0.2');
    const chunks: Buffer[] = [];
    near.on('data', (chunk: Buffer) => chunks.push(chunk));
    near.write(`${ask(200_000)}GET /trace HTTP/1.1\r\nhost: edge.culvert\r\nconnection: close\r\n\r\n`);
    await new Promise((resolve) => near.once('end', resolve));

    const text = Buffer.concat(chunks).toString('latin1');
    const [first = '', ...rest] = text.split('\r\n\r\n');
    expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*content-length: 200000/);
    expect(rest[0]?.slice(0, 200_000)).toBe('\0'.repeat(200_000));
    expect(rest[0]?.slice(200_000)).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(text).toContain('device=laptop');
  });

  test('waits for whoever does not read', async () => {
    const [near, far] = streamPair();
    gateway().serve(far, '10.83.0.2');
    near.pause();
    near.write(ask(100_000_000));
    for (let i = 0; i < 200; i++) await nextTurn();

    expect(far.writableLength).toBeLessThan(1_000_000);
    near.destroy();
    far.destroy();
  });
});
