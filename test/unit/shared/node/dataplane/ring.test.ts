import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endpointSize } from '../../../../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../../../../shared/core/base/ip.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { Ring, ringMemory } from '../../../../../shared/node/dataplane/ring.ts';

function batch(): PacketBatch {
  const bytes = new Uint8Array(64 * 1024);
  return new PacketBatch({ bytes, arenaStart: 0, arenaEnd: bytes.length, capacity: 32, addressCapacity: 32 });
}

/** Adds a datagram of `length` bytes, all `fill`, from port `port`. */
function put(to: PacketBatch, length: number, fill: number, port: number): void {
  const record = new Uint8Array(endpointSize);
  writeEndpoint(record, 0, { address: '192.0.2.1', port });
  const offset = to.reserve(length);
  to.bytes.fill(fill, offset, offset + length);
  to.push(offset, length, to.addAddress(record, 0), fill & 3);
}

function contents(
  of: PacketBatch,
): { length: number; fill: number | undefined; port: number; tos: number }[] {
  return Array.from({ length: of.count }, (_, i) => {
    const at = of.address[i]! * endpointSize;
    const length = of.length[i]!;
    const fill = length === 0 ? undefined : of.bytes[of.offset[i]!];
    return { length, fill, port: of.addresses[at + 2]! * 256 + of.addresses[at + 3]!, tos: of.tos[i]! };
  });
}

describe('a ring', () => {
  it('carries datagrams with their address and type of service, in order', () => {
    const ring = new Ring(ringMemory(4096));
    const [from, to] = [batch(), batch()];
    put(from, 100, 1, 1000);
    put(from, 0, 2, 2000);
    put(from, 1452, 3, 3000);

    const dropped = ring.push(from);
    const taken = ring.take(to);

    expect([dropped, taken]).toEqual([0, 3]);
    expect(contents(to)).toEqual(contents(from));
    expect(ring.isEmpty).toBe(true);
  });

  it('drops and counts what does not fit, and goes on afterwards', () => {
    const ring = new Ring(ringMemory(1024));
    const [from, to] = [batch(), batch()];
    for (let i = 0; i < 5; i++) put(from, 300, i, 1000 + i);

    expect(ring.push(from)).toBe(3);
    expect(ring.dropped).toBe(3);
    expect(ring.take(to)).toBe(2);
    from.clear();
    put(from, 300, 9, 9);
    expect(ring.push(from)).toBe(0);
    to.clear();
    expect(ring.take(to)).toBe(1);
    expect(contents(to)).toEqual(contents(from));
  });

  it('leaves what the batch has no room for', () => {
    const ring = new Ring(ringMemory(8192));
    const from = batch();
    for (let i = 0; i < 3; i++) put(from, 100, i, 1000 + i);
    ring.push(from);
    const bytes = new Uint8Array(400);
    const small = new PacketBatch({ bytes, arenaStart: 0, arenaEnd: 400, capacity: 2, addressCapacity: 2 });

    expect(ring.take(small)).toBe(2);
    small.clear();
    expect(ring.take(small)).toBe(1);
    expect(small.length[0]).toBe(100);
  });

  it('behaves like a list under arbitrary pushes and takes', () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('push' as const), lengths: fc.array(fc.nat(700), { maxLength: 6 }) }),
      fc.record({ kind: fc.constant('take' as const) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 3000 }),
        fc.array(command, { maxLength: 60 }),
        (size, commands) => {
          const ring = new Ring(ringMemory(size));
          const model: ReturnType<typeof contents> = [];
          let n = 0;
          for (const step of commands) {
            const one = batch();
            if (step.kind === 'take') {
              const taken = ring.take(one);
              expect(contents(one)).toEqual(model.splice(0, taken));
              // A whole batch has room for all that such a small ring holds.
              expect(model).toHaveLength(0);
              continue;
            }
            for (const length of step.lengths) {
              const single = batch();
              put(single, length, n++ & 255, 1 + (n % 60000));
              if (ring.push(single) === 0) model.push(...contents(single));
            }
          }
        },
      ),
      { seed: 11, numRuns: 400 },
    );
  });
});
