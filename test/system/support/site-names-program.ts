// A resolver over TLS for tests of host rules: several names of one site, everything else does not exist. Words:
// CERTIFICATE KEY. Says 'ready' when it listens on port 853.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import { readMessage } from '../../../shared/core/dns/reader.ts';
import { rcode } from '../../../shared/core/dns/types.ts';
import { writeAddressAnswer, writeAnswer } from '../../../shared/core/dns/writer.ts';
import { serveDnsStream } from '../../../shared/node/resolver/dns-stream.ts';

const [certFile = '', keyFile = '', ...addresses] = process.argv.slice(2);
const site = addresses.flatMap((text) => parseAddress(text) ?? []);
const names = new Set(['www.bank.example', 'shop.example']);
const ttl = 300;

const options = { cert: readFileSync(certFile), key: readFileSync(keyFile), ALPNProtocols: ['dot'] };
createServer(options, (stream) => {
  serveDnsStream(stream, async (bytes) => {
    const query = readMessage(bytes);
    if (query?.question === undefined) return undefined;
    const isKnown = names.has(query.question.name.toLowerCase().replace(/\.$/, ''));
    return isKnown ? writeAddressAnswer(query, site, ttl) : writeAnswer(query, { rcode: rcode.nxDomain });
  });
}).listen(853, '::', () => process.stdout.write('ready\n'));
