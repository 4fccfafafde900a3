/**
 * What the router of the lab offers besides its links: a name server, a name server that lies, and the sign-in page of
 * a hotel. Says 'ready'. Started by stage.ts. Words: the honest name server's address; the address that lies are made of.
 */

import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeAnswer } from '../../shared/core/dns/writer.ts';
import { routerPorts } from './networks.ts';
import { edgeName, places } from './world.ts';

const ttl = 1;
const nxDomain = 3;
const redirect = 302;
const dnsPort = 53;
const honest: Readonly<Record<string, readonly string[]>> = { [edgeName]: [places.edge, places.edgeV6] };

type Answer = (name: string) => readonly string[] | undefined;

function serveNames(port: number, answer: Answer): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const query = readMessage(new Uint8Array(bytes));
    if (query?.question === undefined) return;
    const found = answer(query.question.name.toLowerCase().replace(/\.$/, ''));
    const reply =
      found === undefined
        ? writeAnswer(query, { rcode: nxDomain })
        : writeAddressAnswer(
            query,
            found.flatMap((text) => parseAddress(text) ?? []),
            ttl,
          );
    socket.send(reply, from.port, from.address);
  });
  return new Promise((resolve) => socket.bind(port, () => resolve()));
}

await serveNames(dnsPort, (name) => honest[name]);
await serveNames(routerPorts.wideDns, (name) => honest[name] ?? [places.checks]);
await serveNames(routerPorts.falseDns, () => [places.router]);
const signIn = createServer((request, response) => {
  if (request.url === '/sign-in') response.end('Please sign in.\n');
  else response.writeHead(redirect, { location: `http://${places.router}/sign-in` }).end();
});
signIn.listen(routerPorts.signIn, () => process.stdout.write('ready\n'));
