// What the host is asked, and how its answers are read.
import { expect, test } from 'vitest';
import { groupId } from '../../../../client/host/accounts.ts';
import { nameServersIn } from '../../../../client/host/dns/name-servers.ts';
import { netAdminIn } from '../../../../client/host/privileges.ts';

test('name servers are those that are not loopback, each once', () => {
  const text =
    '# comment\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver\t2620:fe::9 # x\nnameserver 9.9.9.9\nnameserver fe80::1%eth0\nsearch lan\nnameserver bogus\n';

  expect(nameServersIn(text)).toEqual(['9.9.9.9', '2620:fe::9', 'fe80::1']);
});

test.each([
  ['CapEff:\t000001ffffffffff\n', true],
  ['CapEff:\t0000000000001000\n', true],
  ['CapEff:\t0000000000000fff\n', false],
  ['CapEff:\t0000000000000000\n', false],
  ['Name:\tnode\n', false],
])('CAP_NET_ADMIN in %j: %s', (text, expected) => {
  expect(netAdminIn(text)).toBe(expected);
});

test('a group is found by its whole name', () => {
  const groups = 'root:x:0:\nculverts:x:9:\nculvert:x:993:me\n';

  expect(groupId(groups, 'culvert')).toBe(993);
  expect(groupId('root:x:0:\n', 'culvert')).toBeUndefined();
});
