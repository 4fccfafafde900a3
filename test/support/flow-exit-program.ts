/** Two flow workers, busy with each other, whose process ends in their midst as the argument says. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import type { FlowBackend } from '../../shared/node/flows/contract.ts';
import { startFlowThread } from '../../shared/node/flows/flow-thread-link.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { seededEntropy } from './seeded.ts';

const addresses = ['10.9.0.1', '10.9.0.2'] as const;
const secrets = [1, 2].map((seed) => {
  const bytes = new Uint8Array(32);
  seededEntropy(seed).fill(bytes);
  return bytes;
});

async function start(index: 0 | 1, port: number): Promise<FlowBackend> {
  const other = index === 0 ? 1 : 0;
  const backend = await startFlowThread({
    entry: new URL('./flow-role-program.ts', import.meta.url),
    log: silentLog,
    mtu: 1420,
    addresses: [parseAddress(addresses[index])!],
    acceptAny: false,
    settings: {},
  });
  const peer = {
    publicKey: portableSuite.publicKey(secrets[other]!),
    allowedIps: [`${addresses[other]}/32`],
  };
  const endpoint = { address: '127.0.0.1', port };
  await backend.configure({
    privateKey: secrets[index]!,
    listenPort: 0,
    peers: [port === 0 ? peer : { ...peer, endpoint }],
  });
  return backend;
}

const b = await start(1, 0);
const a = await start(0, (await b.status()).listenPort);
await a.call('flood', { to: parseAddress(addresses[1])! });
if (process.argv[2] === 'throw') throw new Error('a bug in the program');
process.exit(7);
