// While somebody runs a diagnosis the firewall lets out the daemon's own questions, by its mark alone, in whatever state.
import { expect, test } from 'vitest';
import { type Examination, ExamineOpening } from '../../../../client/host/firewall/examination.ts';
import type { FirewallPolicy } from '../../../../client/host/firewall/policy.ts';
import { rulesetFor } from '../../../../client/host/firewall/ruleset.ts';

const examines: Examination = {
  servers: ['192.0.2.53', 'fe80::1%up0'],
  tcpPorts: [80, 443, 443],
  udpPorts: [51820],
};

function policy(kind: FirewallPolicy['kind'], more: Partial<FirewallPolicy> = {}): FirewallPolicy {
  return {
    kind,
    interfaceName: 'culvert0',
    mark: 0x8383,
    endpoints: [],
    nameServers: [],
    addresses: [],
    scope: 'everything',
    ...more,
  };
}

test.each(['blocked', 'connecting', 'connected', 'portal'] as const)(
  'in %s the rules let out nothing more than its own questions, all with the mark',
  (kind) => {
    const before = rulesetFor(policy(kind)).split('\n');

    const during = rulesetFor(policy(kind, { examines })).split('\n');

    const added = during.filter((line) => !before.includes(line)).map((line) => line.trim());
    expect(added).toEqual([
      'meta mark 0x8383 ip daddr 192.0.2.53 udp dport 53 accept',
      'meta mark 0x8383 ip6 daddr fe80::1 udp dport 53 accept',
      'meta mark 0x8383 tcp dport { 80, 443 } accept',
      'meta mark 0x8383 udp dport { 51820 } accept',
    ]);
  },
);

test('words that are no address do not get into the rules', () => {
  const bad = policy('blocked', { examines: { ...examines, servers: ['1.2.3.4; flush ruleset'] } });

  expect(() => rulesetFor(bad)).toThrow('an address holds no syntax');
});

test('is open while the work goes on, and closed after it, also where it failed', async () => {
  const seen: boolean[] = [];
  const opening: ExamineOpening = new ExamineOpening(async () => {
    seen.push(opening.current !== undefined);
  });

  const found = await opening.during(examines, async () => opening.current);
  await expect(
    opening.during(examines, async () => {
      throw new Error('no network');
    }),
  ).rejects.toThrow('no network');

  expect(found).toBe(examines);
  expect(seen).toEqual([true, false, true, false]);
  expect(opening.current).toBeUndefined();
});
