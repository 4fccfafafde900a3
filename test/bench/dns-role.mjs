// One of our resolvers for test/bench/dns.mjs, in a process of its own: the stub of the client or the resolver of the
// edge, as they are joined in the product, but on any port.
import { createSocket } from 'node:dgram';
import { PrivateDns } from '../../client/resolver/private-dns.ts';
import { createDnsAnswerer, edgeCacheLimits } from '../../edge/dns/answerer.ts';
import { Gateway } from '../../edge/gateway/gateway.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { growHeapSlowly } from '../../shared/node/heap.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { openReplyPort } from '../../shared/node/udp/open-reply.ts';
import { openReplyDgram } from '../../shared/node/udp/reply-dgram.ts';

const [role, port, upstream, caFile] = process.argv.slice(2);
const place = { address: '127.0.0.1', port: Number(port) };
const parts = { clock: systemClock(), log: silentLog, entropy: systemEntropy() };
const roles = { stub, edge: () => edge(openReplyPort), 'edge-dgram': () => edge(openReplyDgram), echo };
await roles[role]();
process.send?.('ready');
process.once('SIGTERM', () => process.exit());

async function stub() {
  const settings = {
    transport: 'dot',
    upstreams: [upstream],
    families: 'off',
    fallback: [],
    blockFiles: [],
    block: [],
    allow: [],
    rebindProtection: false,
    rebindAllow: [],
    caFile,
    queryLog: false,
  };
  const dns = new PrivateDns(settings, { ...parts, networkServers: () => [], edgeServers: () => [] });
  await dns.listen([place]);
}

async function edge(open) {
  growHeapSlowly();
  const { clock } = parts;
  const answerer = createDnsAnswerer({
    ...parts,
    settings: { upstreams: [upstream], family: 'off', cache: edgeCacheLimits(100_000), caFile },
    names: { gateway: [], addressesOf: () => undefined },
    rate: { perSecond: 1e9, burst: 1e9 },
  });
  const gateway = new Gateway({
    edgeName: () => 'bench',
    deviceOf: () => 'bench',
    answerer,
    maxDatagram: 1372,
    unixNow: () => clock.unix(),
    now: () => clock.now(),
    log: silentLog,
  });
  await open(place, {
    beginRound: () => gateway.beginRound(),
    answerAtOnce: (question, answer, asker) => gateway.answerAtOnce(question, answer, asker),
    answer: (question, asker) => gateway.answerDatagram(question, asker.address),
  });
}

/** The floor: what Node's own sockets cost. */
function echo() {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
  socket.on('message', (bytes, from) => {
    bytes[2] |= 0x80;
    socket.send(bytes, from.port, from.address);
  });
  return new Promise((resolve) => {
    socket.bind(place.port, place.address, resolve);
  });
}
