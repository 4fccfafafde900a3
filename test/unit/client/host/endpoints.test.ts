// Where an edge is tried: what this network reaches, what a translation makes of it, and when a name is looked up again.
import { describe, expect, test } from 'vitest';
import type { EdgeProfile } from '../../../../client/driver/ports.ts';
import { addressesInHosts } from '../../../../client/host/edge-names.ts';
import { EdgeFinder } from '../../../../client/host/endpoints.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';

const key = `${'A'.repeat(42)}E=`;

function edge(host: string): EdgeProfile {
  const text = `[Interface]\nPrivateKey = ${key}\nDNS = 10.9.0.1\n[Peer]\nPublicKey = ${key}\nEndpoint = ${host}:51820\n`;
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error('the fixture is wrong');
  return { name: 'home', config: parsed.config };
}

function world(known: Record<string, readonly string[]>, proven: readonly string[] = []) {
  const asked: string[] = [];
  let reaches = (_address: string): boolean => true;
  let now = 0;
  const lookUp = async (host: string): Promise<readonly string[]> => {
    asked.push(host);
    return known[host] ?? [];
  };
  const finder = new EdgeFinder({
    lookUp,
    lookUpIpv6: lookUp,
    reachable: (addresses) => new Set(addresses.filter((one) => reaches(one))),
    nameServers: () => ['192.0.2.53', '2001:db8::53', '10.9.0.1'],
    knownAddresses: () => proven,
    clock: { now: () => monoMs(now) },
  });
  return {
    asked,
    finder,
    reachOnly: (fits: (address: string) => boolean) => void (reaches = fits),
    pass: (ms: number) => void (now += ms),
  };
}

const isV6 = (address: string): boolean => address.includes(':');
const signal = new AbortController().signal;
const at = (address: string) => ({ peer: 0, address, port: 51820 });

describe('the finder of edges', () => {
  test('takes what this network reaches of all that a name stands for', async () => {
    const { finder, reachOnly } = world({ 'edge.example': ['203.0.113.1', '2001:db8::1'] });
    reachOnly(isV6);

    const places = await finder.resolve(edge('edge.example'), signal);

    expect(places.endpoints).toEqual([at('2001:db8::1')]);
  });

  test('tries an IPv4 address behind the translation of a network with IPv6 alone', async () => {
    const { finder, reachOnly, asked } = world({ 'ipv4only.arpa': ['64:ff9b::c000:aa'] });
    reachOnly(isV6);

    const places = await finder.resolve(edge('203.0.113.1'), signal);

    expect(asked).toEqual(['ipv4only.arpa']);
    expect(places.endpoints).toEqual([at('64:ff9b::cb00:7101')]);
  });

  test('tries where the edge was before after what its name stands for now: a network may lie', async () => {
    const { finder } = world({ 'edge.example': ['192.0.2.1'] }, ['203.0.113.1', '192.0.2.1']);

    const places = await finder.resolve(edge('edge.example'), signal);

    expect(places.choices).toEqual([at('192.0.2.1'), at('203.0.113.1')]);
  });

  test('goes where the edge was before where nobody knows its name', async () => {
    const { finder } = world({}, ['203.0.113.1']);

    expect((await finder.resolve(edge('edge.example'), signal)).endpoints).toEqual([at('203.0.113.1')]);
  });

  test('keeps the address where there is no translation: it may pass later', async () => {
    const { finder, reachOnly } = world({});
    reachOnly(isV6);

    expect((await finder.resolve(edge('203.0.113.1'), signal)).endpoints).toEqual([at('203.0.113.1')]);
  });

  test('says that the place is lost and names another, without a look-up where one is known', async () => {
    const { finder, reachOnly, asked } = world({ 'edge.example': ['203.0.113.1', '2001:db8::1'] });
    const { endpoints } = await finder.resolve(edge('edge.example'), signal);
    reachOnly(isV6);

    const found = await finder.seek({ edge: edge('edge.example'), endpoints, silent: false });

    expect(found).toEqual({ choices: [at('2001:db8::1')], lost: true });
    expect(asked).toHaveLength(1);
  });

  test('looks the name up again while the edge is silent, later each time, and not once it is heard', async () => {
    const names: Record<string, readonly string[]> = { 'edge.example': ['203.0.113.1'] };
    const { finder, asked, pass } = world(names);
    const { endpoints } = await finder.resolve(edge('edge.example'), signal);
    const seek = () => finder.seek({ edge: edge('edge.example'), endpoints, silent: true });

    await seek();
    pass(4000);
    await seek();
    const early = asked.length;
    names['edge.example'] = ['203.0.113.9'];
    pass(2000);
    const found = await seek();
    const later = asked.length;
    finder.heard();
    await seek();

    expect([early, later, asked.length]).toEqual([1, 2, 2]);
    expect(found.choices).toEqual([at('203.0.113.9')]);
  });

  test('lets questions out for a name, for a translation to IPv6 servers alone, and never to a resolver inside', () => {
    const { finder } = world({});

    expect(finder.nameServers(edge('edge.example'))).toEqual(['192.0.2.53', '2001:db8::53']);
    expect(finder.nameServers(edge('203.0.113.1'))).toEqual(['2001:db8::53']);
    expect(finder.nameServers(edge('[2001:db8::1]'))).toEqual([]);
  });

  test('rejects with endpoint-unresolved where nobody knows the name', async () => {
    const { finder } = world({});

    await expect(finder.resolve(edge('nowhere.example'), signal)).rejects.toMatchObject({
      code: 'endpoint-unresolved',
    });
  });

  test('reads hosts files, IPv4 first', () => {
    const text = '# c\n2001:db8::7 edge.example other\n192.0.2.7\tEDGE.example # x\nbad edge.example\n';

    expect(addressesInHosts(text, 'edge.example')).toEqual(['192.0.2.7', '2001:db8::7']);
  });
});
