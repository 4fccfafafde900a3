// Which addresses are this machine's, as its interfaces change.
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import { OwnAddresses } from '../../../../edge/egress/own-addresses.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

function interfaceWith(cidr: string): NetworkInterfaceInfo {
  const address = cidr.replace(/\/.*/, '');
  const fields = { address, netmask: '', mac: '', internal: false, cidr };
  return address.includes(':') ? { ...fields, family: 'IPv6', scopeid: 0 } : { ...fields, family: 'IPv4' };
}

describe('own addresses', () => {
  test('are those of every interface, with the broadcast addresses of its networks', () => {
    const all = {
      eth0: [interfaceWith('198.51.100.7/24'), interfaceWith('2001:db8::7/64')],
      tun0: undefined,
    };
    const own = new OwnAddresses(
      () => monoMs(0),
      [bytes('203.0.113.9')],
      () => all,
    );

    const ours = ['198.51.100.7', '198.51.100.0', '198.51.100.255', '2001:db8::7', '203.0.113.9'];
    expect(ours.map((text) => own.has(bytes(text)))).toEqual(ours.map(() => true));
    const others = ['198.51.100.8', '2001:db8::8', '2001:db8::', '198.51.101.7'];
    expect(others.map((text) => own.has(bytes(text)))).toEqual(others.map(() => false));
  });

  test('have no broadcast address where a network is one or two addresses', () => {
    const own = new OwnAddresses(
      () => monoMs(0),
      [],
      () => ({ eth0: [interfaceWith('198.51.100.8/31')] }),
    );

    expect(['198.51.100.8', '198.51.100.9'].map((text) => own.has(bytes(text)))).toEqual([true, false]);
  });

  test('are looked at again when the last look is old', () => {
    let now = 0;
    let looks = 0;
    let cidr = '198.51.100.7/32';
    const own = new OwnAddresses(
      () => monoMs(now),
      [],
      () => {
        looks++;
        return { eth0: [interfaceWith(cidr)] };
      },
    );
    const first = bytes('198.51.100.7');
    const second = bytes('198.51.100.8');

    expect([own.has(first), own.has(second)]).toEqual([true, false]);
    cidr = '198.51.100.8/32';
    now = 1999;
    expect([own.has(first), looks]).toEqual([true, 1]);
    now = 2000;
    expect([own.has(first), own.has(second), looks]).toEqual([false, true, 2]);
  });
});

function bytes(text: string): Uint8Array {
  return parseAddress(text) ?? new Uint8Array();
}
