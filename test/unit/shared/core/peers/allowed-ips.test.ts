import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../../../../../shared/core/base/ip.ts';
import { AllowedIps } from '../../../../../shared/core/peers/allowed-ips.ts';

const seed = 11;

function insert(table: AllowedIps<string>, text: string, owner: string): boolean {
  const { address, bits } = parsePrefix(text)!;
  return table.insert(address, bits, owner);
}

function remove(table: AllowedIps<string>, text: string, owner: string): boolean {
  const { address, bits } = parsePrefix(text)!;
  return table.remove(address, bits, owner);
}

/** Looks up inside a larger buffer, as packets do. */
function lookup(table: AllowedIps<string>, text: string): string | undefined {
  const address = parseAddress(text)!;
  const bytes = new Uint8Array(address.length + 7).fill(0xee);
  bytes.set(address, 3);
  return address.length === 4 ? table.lookup4(bytes, 3) : table.lookup6(bytes, 3);
}

describe('lookup', () => {
  test('finds nobody in an empty table', () => {
    const table = new AllowedIps<string>();

    expect(lookup(table, '10.0.0.1')).toBeUndefined();
    expect(lookup(table, 'fd00::1')).toBeUndefined();
  });

  test('finds the owner of the longest prefix', () => {
    const table = new AllowedIps<string>();
    for (const [prefix, owner] of [
      ['0.0.0.0/0', 'default'],
      ['10.0.0.0/8', 'eight'],
      ['10.1.0.0/16', 'sixteen'],
      ['10.1.2.3/32', 'one'],
      ['fd00::/8', 'six'],
      ['fd00:0:0:1::/64', 'net'],
    ] as const) {
      insert(table, prefix, owner);
    }

    expect(lookup(table, '10.1.2.3')).toBe('one');
    expect(lookup(table, '10.1.2.4')).toBe('sixteen');
    expect(lookup(table, '10.2.0.0')).toBe('eight');
    expect(lookup(table, '11.0.0.0')).toBe('default');
    expect(lookup(table, 'fd00:0:0:1::5')).toBe('net');
    expect(lookup(table, 'fd00:0:0:2::5')).toBe('six');
    expect(lookup(table, '2001:db8::1')).toBeUndefined();
  });

  test('keeps the families apart', () => {
    const table = new AllowedIps<string>();
    insert(table, '0.0.0.0/0', 'four');

    expect(lookup(table, '::')).toBeUndefined();
  });
});

describe('owners', () => {
  test('lose a prefix to the one who gets the same prefix', () => {
    const table = new AllowedIps<string>();
    insert(table, '10.0.0.0/8', 'a');
    insert(table, '10.0.0.0/16', 'a');

    insert(table, '10.9.9.9/8', 'b');

    expect(table.textsOf('a')).toEqual(['10.0.0.0/16']);
    expect(table.textsOf('b')).toEqual(['10.0.0.0/8']);
    expect(table.size).toBe(2);
    expect(lookup(table, '10.0.0.1')).toBe('a');
    expect(lookup(table, '10.1.0.1')).toBe('b');
  });

  test('lose only what is theirs', () => {
    const table = new AllowedIps<string>();
    insert(table, '10.0.0.0/8', 'a');

    expect(remove(table, '10.0.0.0/8', 'b')).toBe(false);
    expect(remove(table, '10.0.0.0/9', 'a')).toBe(false);
    expect(lookup(table, '10.0.0.1')).toBe('a');
    expect(remove(table, '10.0.0.0/8', 'a')).toBe(true);
    expect(lookup(table, '10.0.0.1')).toBeUndefined();
    expect(table.size).toBe(0);
  });

  test('lose everything at once, and what was covered shows again', () => {
    const table = new AllowedIps<string>();
    insert(table, '10.0.0.0/8', 'a');
    insert(table, '10.1.0.0/16', 'b');
    insert(table, 'fd00::/64', 'b');

    table.removeAll('b');

    expect(lookup(table, '10.1.0.1')).toBe('a');
    expect(lookup(table, 'fd00::1')).toBeUndefined();
    expect(table.textsOf('b')).toEqual([]);
    expect(table.size).toBe(1);
  });

  test('are listed in the same order however prefixes came', () => {
    const prefixes = ['10.0.0.0/8', '10.0.0.0/16', '192.168.0.0/24', 'fd00::/64', 'fd00:0:0:1::/64'];
    const forwards = new AllowedIps<string>();
    const backwards = new AllowedIps<string>();
    for (const prefix of prefixes) insert(forwards, prefix, 'a');
    for (const prefix of prefixes.toReversed()) insert(backwards, prefix, 'a');

    expect(forwards.textsOf('a')).toEqual(prefixes);
    expect(backwards.textsOf('a')).toEqual(prefixes);
  });
});

test('refuses new prefixes at its capacity, but still moves old ones', () => {
  const table = new AllowedIps<string>(2);
  insert(table, '10.0.0.0/8', 'a');
  insert(table, '11.0.0.0/8', 'a');

  expect(insert(table, '12.0.0.0/8', 'a')).toBe(false);
  expect(insert(table, '11.0.0.0/8', 'b')).toBe(true);
  expect(lookup(table, '11.0.0.1')).toBe('b');
  expect(lookup(table, '12.0.0.1')).toBeUndefined();
});

test('forgets cached answers when the table changes', () => {
  const table = new AllowedIps<string>();
  for (let i = 0; i < 100; i++) insert(table, `10.0.${i}.0/24`, 'a');
  expect(lookup(table, '10.0.50.1')).toBe('a');
  expect(lookup(table, '10.0.200.1')).toBeUndefined();

  insert(table, '10.0.50.1/32', 'b');
  insert(table, '10.0.0.0/16', 'c');
  expect(lookup(table, '10.0.50.1')).toBe('b');
  expect(lookup(table, '10.0.200.1')).toBe('c');

  remove(table, '10.0.50.1/32', 'b');
  expect(lookup(table, '10.0.50.1')).toBe('a');
  expect(lookup(table, '10.0.50.1')).toBe('a');
});

/** The same promises, kept by looking at every prefix. */
class LinearScan {
  entries: { prefix: Prefix; owner: string }[] = [];

  insert(prefix: Prefix, owner: string): void {
    this.#drop((entry) => formatPrefix(entry.prefix) === formatPrefix(prefix));
    this.entries.push({ prefix, owner });
  }

  remove(prefix: Prefix, owner: string): void {
    this.#drop((entry) => entry.owner === owner && formatPrefix(entry.prefix) === formatPrefix(prefix));
  }

  removeAll(owner: string): void {
    this.#drop((entry) => entry.owner === owner);
  }

  lookup(address: Uint8Array): string | undefined {
    const inside = this.entries.filter((entry) => prefixContains(entry.prefix, address));
    return inside.toSorted((a, b) => b.prefix.bits - a.prefix.bits)[0]?.owner;
  }

  #drop(gone: (entry: { prefix: Prefix; owner: string }) => boolean): void {
    this.entries = this.entries.filter((entry) => !gone(entry));
  }
}

// Few different bits, so that prefixes nest, part late and repeat.
function addressOf(size: number): fc.Arbitrary<Uint8Array> {
  const byte = fc.constantFrom(0, 1, 0x80, 0xff);
  return fc.array(byte, { minLength: size, maxLength: size }).map((bytes) => Uint8Array.from(bytes));
}

function commandOf(size: number) {
  return fc.record({
    kind: fc.constantFrom('insert', 'insert', 'insert', 'remove', 'removeAll'),
    address: addressOf(size),
    bits: fc.integer({ min: 0, max: size * 8 }),
    owner: fc.constantFrom('a', 'b', 'c', 'd'),
  });
}

test.each([4, 16])('agrees with a linear scan for addresses of %i bytes', (size) => {
  const commands = fc.array(commandOf(size), { maxLength: 120 });
  const probes = fc.array(addressOf(size), { minLength: 10, maxLength: 40 });
  fc.assert(
    fc.property(commands, probes, (list, addresses) => {
      const table = new AllowedIps<string>();
      const model = new LinearScan();
      for (const { kind, address, bits, owner } of list) {
        const prefix = parsePrefix(formatPrefix({ address, bits }))!;
        if (kind === 'insert') {
          table.insert(address, bits, owner);
          model.insert(prefix, owner);
        } else if (kind === 'remove') {
          table.remove(address, bits, owner);
          model.remove(prefix, owner);
        } else {
          table.removeAll(owner);
          model.removeAll(owner);
        }
        // Asked in between too, so that answers of an older table would show.
        const probe = addresses[bits % addresses.length]!;
        expect(size === 4 ? table.lookup4(probe, 0) : table.lookup6(probe, 0)).toBe(model.lookup(probe));
      }
      expect(table.size).toBe(model.entries.length);
      for (const address of [...addresses, ...addresses]) {
        const found = size === 4 ? table.lookup4(address, 0) : table.lookup6(address, 0);
        expect(found).toBe(model.lookup(address));
      }
      for (const owner of ['a', 'b', 'c', 'd']) {
        const expected = model.entries
          .filter((entry) => entry.owner === owner)
          .map((entry) => formatPrefix(entry.prefix));
        expect(table.textsOf(owner).toSorted()).toEqual(expected.toSorted());
      }
    }),
    { seed, numRuns: 150 },
  );
});
