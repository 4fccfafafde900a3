import { expect, test } from 'vitest';
import { NameOpening } from '../../../../client/host/firewall/name-opening.ts';

test('is there when the firewall was written, also for whoever asks meanwhile, and is written once', async () => {
  const done: string[] = [];
  const written = Promise.withResolvers<void>();
  const opening = new NameOpening(async () => {
    done.push(`writes ${opening.servers.join('+')}`);
    await written.promise;
    done.push('written');
  });

  const first = opening.set(['192.0.2.53']).then(() => done.push('first'));
  const second = opening.set(['192.0.2.53']).then(() => done.push('second'));
  written.resolve();
  await Promise.all([first, second]);
  await opening.set(['192.0.2.53']);

  expect(done).toEqual(['writes 192.0.2.53', 'written', 'first', 'second']);
});

test('wants nothing open where the firewall cannot be written, and tries again when it is asked again', async () => {
  let isBroken = true;
  let written = 0;
  const opening = new NameOpening(async () => {
    if (isBroken) throw new Error('nft');
    written += 1;
  });

  await expect(opening.set(['192.0.2.53'])).rejects.toThrow('nft');
  const afterFailure = opening.servers;
  isBroken = false;
  await opening.set(['192.0.2.53']);

  expect(afterFailure).toEqual([]);
  expect(opening.servers).toEqual(['192.0.2.53']);
  expect(written).toBe(1);
});
