import { expect, test } from 'vitest';
import type { EdgeProfile } from '../../../../client/driver/ports.ts';
import type { SystemDns } from '../../../../client/host/dns/system-dns.ts';
import { DnsGuard } from '../../../../client/host/firewall/dns-guard.ts';
import { HostDns } from '../../../../client/host/private-dns.ts';
import type { PrivateDns, PrivateDnsSettings } from '../../../../client/resolver/private-dns.ts';
import type { Hold } from '../../../../shared/node/hold.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const place = { address: '127.0.83.53', port: 53 };

/** Private DNS whose parts only write down what was asked of them, in order. */
function world({ hasRules = false } = {}) {
  const done: string[] = [];
  const around: string[] = [];
  const told: string[] = [];
  let endGuard = (): void => undefined;
  const hold: Hold = (_program, _parameters, options) => {
    endGuard = () => options?.onEnd?.();
    return {
      ask: async () => void done.push('port 53 closed'),
      close: async () => void done.push('port 53 open'),
    };
  };
  let isListening = false;
  const answers = {
    get place() {
      return isListening ? place : undefined;
    },
    listen: async () => {
      isListening = true;
      done.push('names answered');
    },
    close: async () => void done.push('silent'),
    change: () => undefined,
    handleNetworkChange: () => undefined,
    status: () => ({ upstream: 'https://192.0.2.53/dns-query', servers: [place.address] }),
    ruleServers: ['192.0.2.53'],
    hasUnfiltered: false,
    isUnanswered: false,
    untrusted: [],
  };
  const system = {
    decision: undefined,
    apply: async ({ servers }: { servers: readonly string[] }) => {
      done.push('system told');
      told.push(servers.join('+'));
      return { owner: 'file', because: 'a test' };
    },
    release: async () => void done.push('system given back'),
  };
  const dns = new HostDns({
    settingsFor: () => ({}) as PrivateDnsSettings,
    settingsBefore: () => (hasRules ? ({} as PrivateDnsSettings) : undefined),
    around: { mark: 1, open: async (servers) => void around.push(servers.join('+')) },
    places: () => [place],
    open: () => answers as unknown as PrivateDns,
    system: system as unknown as SystemDns,
    mayChange: () => true,
    undoLeft: async () => undefined,
    guard: new DnsGuard({ hold, log: silentLog }),
    guardPlan: () => ({ isWanted: true }),
    openLink: () => Promise.reject(new Error('no link')),
    run: () => Promise.reject(new Error('nothing is run')),
    log: silentLog,
  });
  return { dns, done, around, told, endGuard: () => endGuard() };
}

test.each(['doh', 'dot'] as const)(
  '%s has started once names are answered, the system asks us, and port 53 is closed for others',
  async (mode) => {
    const { dns, done } = world();

    const starting = dns.start({ mode }).then(() => done.push('said'));
    const atFirst = dns.view;
    await starting;

    expect(done).toEqual(['names answered', 'system told', 'port 53 closed', 'said']);
    expect(atFirst).toEqual({ health: [] });
    expect(dns.view.status).toBeDefined();
    expect(dns.view.health).toEqual([]);
  },
);

test('says that port 53 is open as soon as the program that closes it has ended', async () => {
  const { dns, endGuard } = world();
  await dns.start({ mode: 'doh' });

  endGuard();

  expect(dns.view.health.map(({ code }) => code)).toEqual(['dns-port-open']);
});

const edge = { name: 'home', config: { interface: { dns: ['10.83.0.1'] } } } as unknown as EdgeProfile;
const tunnel = { interfaceName: 'culvert0', edge };

test('lets servers of rules be asked beside a tunnel as long as there is one', async () => {
  const { dns, around } = world();

  await dns.start({ mode: 'doh' });
  await dns.start({ mode: 'tunnel+doh', tunnel });
  await dns.start({ mode: 'doh' });
  await dns.start({ mode: 'tunnel+dot', tunnel });
  await dns.stop();

  expect(around).toEqual(['', '192.0.2.53', '', '192.0.2.53', '']);
});

test.each([
  [true, '127.0.83.53', '192.0.2.53'],
  [false, '10.83.0.1', ''],
] as const)(
  'mode tunnel with rules (%s) tells the system %s, and asks beside the tunnel: "%s"',
  async (hasRules, server, beside) => {
    const { dns, told, around } = world({ hasRules });

    await dns.start({ mode: 'tunnel', tunnel });

    expect(told).toEqual([server]);
    expect(around).toEqual([beside]);
  },
);

test('opens port 53 before the system is given back, and answers until then', async () => {
  const { dns, done } = world();
  await dns.start({ mode: 'doh' });
  done.length = 0;

  await dns.stop();

  expect(done).toEqual(['port 53 open', 'system given back', 'silent']);
});
