import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { pump, splice } from '../../../../../shared/node/flows/splice.ts';
import { listenTo, settle } from '../../../../support/proxy-world.ts';
import { streamPair } from '../../../../support/stream-pair.ts';

const ignore = (): void => {};

test('passes on an end that came before the pump did', async () => {
  const from = new PassThrough();
  from.end();
  from.resume();
  await settle();
  expect(from.readableEnded).toBe(true);
  const to = new PassThrough();

  pump(from, to, ignore);

  expect(to.writableEnded).toBe(true);
});

test('counts what it moves', async () => {
  const [from, to] = [new PassThrough(), new PassThrough()];
  const heard = listenTo(to as never);
  let count = 0;
  pump(from, to, (bytes) => {
    count += bytes;
  });

  from.write('abc');
  from.end('de');
  await settle();

  expect([count, heard]).toEqual([5, { text: 'abcde', ended: true }]);
});

test('a side that is broken already breaks the other at once', () => {
  const [a, beyondA] = streamPair();
  const [b, beyondB] = streamPair();
  for (const stream of [a, beyondA, b, beyondB]) stream.on('error', ignore);
  a.destroy();

  splice(a, b, { onForth: ignore, onBack: ignore, onHalfClosed: ignore });

  expect(b.destroyed).toBe(true);
});
