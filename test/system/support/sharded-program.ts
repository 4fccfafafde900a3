// A tunnel of two workers, told what to do line by line: run inside a host by sharding.test.ts.
// Lines are JSON: {"home": 0 or 1} says where new peers go, {"change": DeviceChange with keys in base64} configures,
// {"shards": true} and {"drops": true} ask. Each is answered by a line 'answer JSON'. It ends where its tunnel ends.
import { createInterface } from 'node:readline';
import type { DeviceChange, PeerChange } from '../../../shared/core/tunnel/config.ts';
import { startShardedTunnel } from '../../../shared/node/dataplane/sharded-backend.ts';
import { silentLog } from '../../../shared/node/silent-log.ts';

interface Command {
  readonly home?: number;
  readonly shards?: boolean;
  readonly drops?: boolean;
  readonly change?: { readonly privateKey?: string; readonly peers: readonly JsonPeer[] };
}

type JsonPeer = Omit<PeerChange, 'publicKey'> & { readonly publicKey: string };

const [interfaceName = '', ...ports] = process.argv.slice(2);
let home = 0;

const tunnel = await startShardedTunnel({
  shards: ports.length,
  entry: new URL('../../../shared/node/wg/packet-thread.ts', import.meta.url),
  interfaceName,
  mtu: 1420,
  log: silentLog,
  ports: ports.map(Number),
  shardOf: () => home,
});
tunnel.onEnd((why, detail) => {
  print({ ended: why, detail });
  process.exitCode = 3;
  process.stdin.destroy();
});
print({ ready: tunnel.interfaceNames });

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  home = command.home ?? home;
  if (command.change !== undefined) await tunnel.configure(readChange(command.change));
  if (command.shards === true) print({ shards: await counts() });
  else if (command.drops === true) print({ drops: (await tunnel.status()).drops });
  else print({ done: true });
}
await tunnel.stop();

function print(message: object): void {
  process.stdout.write(`answer ${JSON.stringify(message)}\n`);
}

function readChange(change: NonNullable<Command['change']>): DeviceChange {
  const key = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
  return {
    ...(change.privateKey === undefined ? {} : { privateKey: key(change.privateKey) }),
    peers: change.peers.map((peer) => ({ ...peer, publicKey: key(peer.publicKey) })),
  };
}

async function counts(): Promise<unknown> {
  const shards = await tunnel.shards();
  return shards.map(({ interfaceName: name, listenPort, peers }) => ({
    interfaceName: name,
    listenPort,
    peers: peers.map((peer) => ({
      publicKey: Buffer.from(peer.publicKey).toString('base64'),
      allowedIps: peer.allowedIps,
      rxBytes: peer.rxBytes,
    })),
  }));
}
