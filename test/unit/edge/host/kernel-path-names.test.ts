// Names that devices were told become elements of the sets of rules for hosts.
import { describe, expect, test } from 'vitest';
import type { DeviceEntry } from '../../../../edge/egress/devices.ts';
import type { EgressRule } from '../../../../edge/egress/rules.ts';
import { KernelHostNames } from '../../../../edge/host/kernel-path-names.ts';
import { parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const now = monoMs(1000);
const rules: readonly EgressRule[] = [
  { match: { port: 25 }, use: 'auto' },
  { match: { host: '*.bank.example' }, use: 'direct' },
  { match: { host: 'www.bank.example' }, use: 'second' },
];
const device: DeviceEntry = {
  name: 'laptop',
  key: 'k',
  prefixes: ['10.83.0.2/32', 'fd7c::2/128'].flatMap((text) => parsePrefix(text) ?? []),
};

function told(
  name: string,
  address: string,
  of = 'laptop',
): { device: string; name: string; address: Uint8Array; ttlSeconds: number } {
  return { device: of, name, address: parseAddress(address) ?? new Uint8Array(4), ttlSeconds: 60 };
}

function known(): KernelHostNames {
  const names = new KernelHostNames();
  names.setRules(rules, [device], now);
  return names;
}

const add = (index: number, address: string, from = '10.83.0.2/32'): unknown => ({
  verb: 'add',
  element: { index, from, address },
});
const remove = (index: number, address: string): unknown => ({
  verb: 'delete',
  element: { index, from: '10.83.0.2/32', address },
});

describe('names', () => {
  test('of a rule become elements for the device that asked, in the family of the address', () => {
    const names = known();

    expect(names.note(told('www.bank.example', '203.0.113.1'), now)).toEqual([
      add(1, '203.0.113.1'),
      add(2, '203.0.113.1'),
    ]);
    expect(names.note(told('api.bank.example', '2001:db8::1'), now)).toEqual([
      add(1, '2001:db8::1', 'fd7c::2/128'),
    ]);
    expect(names.elements).toHaveLength(3);
  });

  test('that no rule means, or of nobody, cost the kernel nothing', () => {
    const names = known();

    expect(names.note(told('shop.example', '203.0.113.1'), now)).toEqual([]);
    expect(names.note(told('www.bank.example', '203.0.113.1', 'stranger'), now)).toEqual([]);
    expect(names.elements).toEqual([]);
  });

  test('that were told again change nothing', () => {
    const names = known();
    names.note(told('www.bank.example', '203.0.113.1'), now);

    expect(names.note(told('www.bank.example', '203.0.113.1'), now)).toEqual([]);
  });

  test('the latest one of an address counts', () => {
    const names = known();
    names.note(told('www.bank.example', '203.0.113.1'), now);

    expect(names.note(told('shop.example', '203.0.113.1'), now)).toEqual([
      remove(1, '203.0.113.1'),
      remove(2, '203.0.113.1'),
    ]);
    expect(names.find('laptop', Uint8Array.of(203, 0, 113, 1), now)?.source).toBe('guessed');
  });

  test('are forgotten in time', () => {
    const names = known();
    names.note(told('api.bank.example', '203.0.113.1'), now);

    expect(names.expire(monoMs(60_000))).toEqual([]);
    expect(names.expire(monoMs(3_600_000))).toEqual([remove(1, '203.0.113.1')]);
    expect(names.elements).toEqual([]);
  });

  test('follow new rules, and go with their device', () => {
    const names = known();
    names.note(told('www.bank.example', '203.0.113.1'), now);

    names.setRules(rules.slice(0, 2), [device], now);
    expect(names.elements).toEqual([{ index: 1, from: '10.83.0.2/32', address: '203.0.113.1' }]);

    names.setRules(rules, [], now);
    expect(names.elements).toEqual([]);
  });
});
