import { expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { NetStack } from '../../../../../shared/core/netstack/stack.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { bytesAllocated } from '../../../../support/allocation.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const addresses = [Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2)] as const;

test('a packet costs no more than the views of its two copies', () => {
  const stacks = addresses.map(
    (address, i) => new NetStack({ entropy: seededEntropy(i), addresses: [address], mtu: 1420 }),
  ) as [NetStack, NetStack];
  const bytes = new Uint8Array(1 << 20);
  const batches = [0, 1].map(
    (i) =>
      new PacketBatch({
        bytes,
        arenaStart: i << 19,
        arenaEnd: (i + 1) << 19,
        capacity: 256,
        addressCapacity: 1,
      }),
  ) as [PacketBatch, PacketBatch];
  const chunk = new Uint8Array(65_536);
  let received = 0;
  let packets = 0;
  let now = 0;
  stacks[1].listenTcp(80);
  stacks[0].connectTcp({ destination: addresses[1], port: 80 });
  const turn = (): void => {
    now += 0.05;
    for (const side of [0, 1] as const) {
      const out = batches[side];
      out.clear();
      stacks[side].handlePackets(batches[1 - side]!, monoMs(now), out);
      packets += out.count;
      for (const event of stacks[side].takeEvents()) {
        if (event.kind === 'tcp-incoming') stacks[1].accept(event.connection);
        if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable')) {
          while (event.connection.write(chunk) === chunk.length);
        }
        if (event.kind !== 'tcp-readable') continue;
        for (let n = event.connection.read(chunk); n > 0; n = event.connection.read(chunk)) received += n;
      }
    }
  };
  while (received < 60_000_000) turn();

  packets = 0;
  const until = received + 30_000_000;
  const allocated = bytesAllocated(() => {
    while (received < until) turn();
  });

  expect(packets).toBeGreaterThan(20_000);
  expect(allocated / packets).toBeLessThan(400);
});
