// Messages of the routing socket: what the kernel sends, and what nobody should be able to break.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readRtnetlink } from '../../../../../client/host/network/rtnetlink.ts';
import {
  linksRequest,
  routesRequest,
  routeToRequest,
} from '../../../../../client/host/network/rtnetlink-request.ts';

type Attribute = readonly [type: number, payload: readonly number[]];

function u32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

function padded(bytes: readonly number[]): number[] {
  return [...bytes, ...Array.from({ length: -bytes.length & 3 }, () => 0)];
}

function attributes(list: readonly Attribute[]): number[] {
  return list.flatMap(([type, payload]) =>
    padded([(4 + payload.length) & 255, (4 + payload.length) >> 8, type & 255, type >> 8, ...payload]),
  );
}

function message(
  type: number,
  body: readonly number[],
  list: readonly Attribute[] = [],
  flags = 0,
): number[] {
  const rest = [...body, ...attributes(list)];
  return padded([...u32(16 + rest.length), type, 0, flags, 0, ...u32(0), ...u32(0), ...rest]);
}

const eth0: Attribute = [3, [...Buffer.from('eth0\0')]];
const link = message(16, [0, 0, 1, 0, ...u32(4), ...u32(0x1043), ...u32(0)], [eth0]);
const route4 = [2, 0, 0, 0, 254, 4, 0, 1, ...u32(0)];
const gateway: Attribute = [5, [192, 0, 2, 1]];
const interface4: Attribute = [4, u32(4)];

function one(bytes: readonly number[]): unknown {
  const { messages, damaged } = readRtnetlink(Uint8Array.from(bytes));
  expect(damaged).toBe(0);
  expect(messages).toHaveLength(1);
  return messages[0];
}

describe('the reader of routing messages', () => {
  test('reads a link with its name and whether packets can pass', () => {
    expect(one(link)).toEqual({
      kind: 'link',
      gone: false,
      index: 4,
      name: 'eth0',
      up: true,
      running: true,
      loopback: false,
    });
  });

  test('takes our own end of a point-to-point address, and the wide flags before the narrow ones', () => {
    const told = one(
      message(
        20,
        [2, 32, 0, 0, ...u32(7)],
        [
          [1, [10, 0, 0, 1]],
          [2, [10, 0, 0, 2]],
          [8, u32(0x40)],
        ],
      ),
    );

    expect(told).toMatchObject({
      kind: 'address',
      index: 7,
      address: '10.0.0.2',
      usable: false,
      global: true,
    });
  });

  test('reads a default route with its router', () => {
    expect(one(message(24, route4, [gateway, interface4, [6, u32(100)]]))).toMatchObject({
      kind: 'route',
      family: 4,
      prefix: '0.0.0.0/0',
      table: 254,
      index: 4,
      metric: 100,
      gateway: '192.0.2.1',
      unicast: true,
      alive: true,
    });
  });

  test('believes the long number of a table', () => {
    expect(one(message(24, route4, [[15, u32(8383)]]))).toMatchObject({ table: 8383 });
  });

  test('takes the first living way of several', () => {
    const dead = [16, 0, 0x10, 0, ...u32(5), ...attributes([[5, [192, 0, 2, 9]]])];
    const alive = [16, 0, 0, 0, ...u32(6), ...attributes([[5, [192, 0, 2, 8]]])];

    expect(one(message(24, route4, [[9, [...dead, ...alive]]]))).toMatchObject({
      index: 6,
      gateway: '192.0.2.8',
      alive: true,
    });
    expect(one(message(24, route4, [[9, dead]]))).toMatchObject({ index: 5, alive: false });
  });

  test('reads an IPv4 route through an IPv6 router', () => {
    const via: Attribute = [18, [10, 0, 0xfe, 0x80, ...Array.from({ length: 13 }, () => 0), 1]];

    expect(one(message(24, route4, [via, interface4]))).toMatchObject({ gateway: 'fe80::1', index: 4 });
  });

  test('knows that a rule is gone', () => {
    const rule = message(
      33,
      [10, 0, 0, 0, 0, 0, 0, 1, ...u32(0)],
      [
        [6, u32(8383)],
        [15, u32(8383)],
      ],
    );

    expect(one(rule)).toEqual({ kind: 'rule', gone: true, family: 6, priority: 8383, table: 8383 });
  });

  test('reads several messages, leaves out kinds that it does not know, and says that a list was interrupted', () => {
    const told = readRtnetlink(
      Uint8Array.from([...link, ...message(99, [1, 2, 3, 4]), ...message(3, u32(0), [], 0x10)]),
    );

    expect(told.messages.map((one) => one.kind)).toEqual(['link', 'done']);
    expect(told).toMatchObject({ interrupted: true, damaged: 0 });
  });

  test('makes names harmless', () => {
    const odd: Attribute = [3, [0x1b, 0x5b, 0x41, 10, 0xc3, 0]];

    expect(
      one(
        message(
          16,
          Array.from({ length: 16 }, () => 0),
          [odd],
        ),
      ),
    ).toMatchObject({ name: '?[A??' });
  });

  test.each([
    ['a message longer than the datagram', [...u32(500), 16, 0, 0, 0, ...u32(0), ...u32(0)]],
    ['a message shorter than its own header', [...u32(3), 16, 0, 0, 0, ...u32(0), ...u32(0)]],
    ['a message of no length at all', [...u32(0), 16, 0, 0, 0, ...u32(0), ...u32(0)]],
    ['a link without a body', message(16, [])],
    ['an address of the wrong length', message(20, [2, 24, 0, 0, ...u32(1)], [[2, [1, 2, 3]]])],
    ['a prefix longer than its address', message(20, [2, 33, 0, 0, ...u32(1)], [[2, [1, 2, 3, 4]]])],
    ['a family that is none', message(24, [7, 0, 0, 0, 254, 0, 0, 1, ...u32(0)])],
  ])('counts %s as damaged and gives nothing for it', (_, bytes) => {
    expect(readRtnetlink(Uint8Array.from(bytes))).toMatchObject({ messages: [], damaged: 1 });
  });

  test('survives any bytes, with work bounded by their number', () => {
    const header = fc.constantFrom(2, 3, 16, 17, 20, 21, 24, 25, 32, 33);
    const wild = fc.tuple(header, fc.uint8Array({ minLength: 16, maxLength: 300 })).map(([type, bytes]) => {
      new DataView(bytes.buffer).setUint32(0, bytes.length, true);
      bytes[4] = type;
      bytes[5] = 0;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(wild, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const { messages, damaged } = readRtnetlink(bytes);
        expect(messages.length + damaged).toBeLessThanOrEqual(bytes.length / 16 + 1);
      }),
      { seed: 83, numRuns: 2000 },
    );
  });

  test('survives every shortening of a true datagram', () => {
    const whole = [...link, ...message(24, route4, [gateway, interface4])];
    for (let length = 0; length < whole.length; length++) {
      expect(readRtnetlink(Uint8Array.from(whole.slice(0, length))).messages.length).toBeLessThan(2);
    }
  });
});

describe('the questions', () => {
  test('say their own length, and that they are questions', () => {
    for (const bytes of [linksRequest(), routesRequest(6), routeToRequest('2001:db8::1', 7)]) {
      expect(new DataView(bytes!.buffer).getUint32(0, true)).toBe(bytes!.length);
      expect(bytes![6]! & 1).toBe(1);
    }
  });

  test('carry target and mark', () => {
    const bytes = routeToRequest('203.0.113.5', 0x8383)!;

    expect(
      readRtnetlink(Uint8Array.from([...bytes.slice(0, 4), 24, ...bytes.slice(5)])).messages,
    ).toMatchObject([{ kind: 'route', prefix: '203.0.113.5/32' }]);
    expect(bytes.slice(-4)).toEqual(Uint8Array.of(0x83, 0x83, 0, 0));
    expect(routeToRequest('edge.example', 0)).toBeUndefined();
  });
});
