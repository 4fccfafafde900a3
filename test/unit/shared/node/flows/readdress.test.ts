// A stack that becomes that of another tunnel: what ran is broken, what is opened afterwards has the new address.
import { expect, test } from 'vitest';
import { FlowPair } from '../../../../support/flow-pair.ts';
import { addressB } from '../../../../support/net-pair.ts';

const other = Uint8Array.of(10, 99, 0, 7);

test('breaks what runs, and is somebody else from then on', async () => {
  const pair = new FlowPair();
  const seen: string[] = [];
  pair.b.listenTcp(80, (incoming) => {
    seen.push(incoming.source.address.join('.'));
    incoming.accept()?.on('error', () => undefined);
  });
  const before = await pair.outcome(pair.a.connectTcp({ destination: addressB, port: 80 }));
  let isBroken = false;
  before
    .on('error', () => undefined)
    .on('close', () => {
      isBroken = true;
    });

  pair.a.setAddresses([other]);
  await pair.until(() => isBroken);
  const after = await pair.outcome(pair.a.connectTcp({ destination: addressB, port: 80 }));
  after.on('error', () => undefined);

  expect(seen).toHaveLength(2);
  expect(seen[1]).toBe('10.99.0.7');
  expect(seen[0]).not.toBe(seen[1]);
  await expect(
    pair.outcome(pair.a.connectTcp({ destination: new Uint8Array(16).fill(1), port: 80 })),
  ).rejects.toMatchObject({ failure: 'unreachable' });
});
