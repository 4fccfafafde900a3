// An upstream proxy on loopback for a path of an edge: this product's own proxy with sockets of the system.
import { readFileSync } from 'node:fs';
import { ProxyServer } from '../../../client/proxy/server.ts';
import { silentLog } from '../../../shared/node/silent-log.ts';
import { DirectDialer } from '../../support/direct-dialer.ts';

const [port = '1080', passwordFile = ''] = process.argv.slice(2);
const password = readFileSync(passwordFile, 'utf8').trim();
const proxy = new ProxyServer({
  dialer: new DirectDialer(),
  log: silentLog,
  credentials: { username: 'edge', password },
});
proxy.setGate({ kind: 'open' });
await proxy.listen(Number(port));
process.stdout.write('listening\n');
