import { expect, test } from 'vitest';
import { userIdIn } from '../../../../client/host/dns/other-resolver.ts';
import { DnsGuard, guardRules } from '../../../../client/host/firewall/dns-guard.ts';
import type { Hold } from '../../../../shared/node/hold.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

test('lets loopback and our own questions through, refuses the rest, and belongs to its program', () => {
  expect(guardRules(undefined)).toMatchInlineSnapshot(`
    "table inet culvert_dns { flags owner; chain refuse { meta l4proto tcp reject with tcp reset; reject with icmpx admin-prohibited; }; chain output { type filter hook output priority filter; policy accept; oifname "lo" accept; meta mark 0x8385 accept; meta l4proto { tcp, udp } th dport 53 goto refuse; }; }
    "
  `);
});

test('lets the resolver of the system ask servers of the network, each family by itself, and only numbers pass', () => {
  const rules = guardRules({
    userId: 101,
    servers: ['192.0.2.1', 'fe80::1%eth0', '2001:db8::1', 'evil; accept'],
  });

  expect(rules).toContain('meta skuid 101 ip daddr { 192.0.2.1 } th dport 53 accept;');
  expect(rules).toContain('meta skuid 101 ip6 daddr { fe80::1, 2001:db8::1 } th dport 53 accept;');
  expect(rules).not.toContain('evil');
});

test('finds the number of an account', () => {
  const text = 'root:x:0:0::/root:/bin/sh\nsystemd-resolve:x:998:998::/:/usr/sbin/nologin\n';

  expect([userIdIn(text, 'systemd-resolve'), userIdIn(text, 'nobody'), userIdIn('x:x:y:z', 'x')]).toEqual([
    998,
    undefined,
    undefined,
  ]);
});

test('holds once for the same rules, anew for others, and is open where the program ends or will not', async () => {
  const started: { closed: boolean; end: (() => void) | undefined }[] = [];
  let refuses = false;
  const hold: Hold = (_program, _parameters, options) => {
    const one = { closed: false, end: options?.onEnd };
    started.push(one);
    return {
      ask: async () => {
        if (refuses) throw new Error('no');
      },
      close: async () => {
        one.closed = true;
      },
    };
  };
  const guard = new DnsGuard({ hold, log: silentLog });

  await guard.apply(undefined);
  await guard.apply(undefined);
  const once = started.length;
  await guard.apply({ userId: 1, servers: ['192.0.2.1'] });
  const anew = [started.length, started[0]?.closed];
  started[1]?.end?.();
  const afterEnd = guard.isHolding;
  refuses = true;
  const refused = await guard.apply(undefined);

  expect([once, anew, afterEnd, refused, guard.isHolding]).toEqual([1, [2, true], false, false, false]);
  expect(started.at(-1)?.closed).toBe(true);
});
