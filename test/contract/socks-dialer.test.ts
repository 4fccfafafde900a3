// The dialer of `culvert exec` is held to the same contract as all others: by way of the real proxy.
import { describe, expect, test } from 'vitest';
import { SocksDialer } from '../../client/exec/socks-dialer.ts';
import { ProxyServer } from '../../client/proxy/server.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { DirectDialer } from '../support/direct-dialer.ts';
import { type DialerWorld, dialerContract } from './dialer.ts';
import { loopbackServers } from './loopback-servers.ts';

const host = '127.0.0.1';
const credentials = { username: 'user', password: 'päss' };

dialerContract('SocksDialer', () => openWorld(false));
dialerContract('SocksDialer with a password', () => openWorld(true));

describe('SocksDialer', () => {
  test('says that the tunnel is down where the proxy refuses or is not there', async () => {
    const proxy = new ProxyServer({ dialer: new DirectDialer(), log: silentLog });
    await proxy.listen(0);
    const dialer = new SocksDialer({ host, port: proxy.port });
    const dial = (): Promise<unknown> =>
      dialer.dialTcp({ host: '192.0.2.1', port: 80, signal: new AbortController().signal });

    await expect(dial()).rejects.toMatchObject({ failure: 'tunnel-down' });
    await proxy.close();
    await expect(dial()).rejects.toMatchObject({ failure: 'tunnel-down' });
  });

  test('says that a login was refused', async () => {
    const proxy = new ProxyServer({ dialer: new DirectDialer(), log: silentLog, credentials });
    await proxy.listen(0);
    proxy.setGate({ kind: 'open' });
    const place = { host: '127.0.0.1', port: 9, signal: new AbortController().signal };
    for (const wrong of [{}, { username: 'user', password: 'wrong' }]) {
      const dialer = new SocksDialer({ host, port: proxy.port, ...wrong });

      await expect(dialer.dialTcp(place)).rejects.toMatchObject({ failure: 'denied' });
    }
    await proxy.close();
  });
});

async function openWorld(withPassword: boolean): Promise<DialerWorld> {
  const login = withPassword ? { credentials } : {};
  const proxy = new ProxyServer({
    dialer: new DirectDialer({ 'known_name.test': host }),
    log: silentLog,
    ...login,
  });
  await proxy.listen(0);
  proxy.setGate({ kind: 'open' });
  const servers = loopbackServers(host);
  return {
    dialer: new SocksDialer({ host, port: proxy.port, ...(withPassword ? credentials : {}) }),
    knownName: 'known_name.test',
    unknownName: 'unknown.test',
    ...servers,
    close: async () => {
      await servers.close();
      await proxy.close();
    },
  };
}
