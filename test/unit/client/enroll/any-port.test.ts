import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectAnyPort } from '../../../../client/enroll/any-port.ts';
import { type EdgeCertificate, readOrCreateCertificate } from '../../../../edge/registration/certificate.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { seededEntropy } from '../../../support/seeded.ts';

let folder: string;
const servers: Server[] = [];

beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'culvert-ports-'))));
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true });
});

function certificate(name: string): EdgeCertificate {
  return readOrCreateCertificate({
    keyFile: join(folder, `${name}.key`),
    certificateFile: join(folder, `${name}.crt`),
    names: [],
    now: unixMs(1_790_000_000_000),
    entropy: seededEntropy(name.length),
  });
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function edge(name: string): Server {
  const { key, certificate: cert } = certificate(name);
  return createTls({ key, cert, minVersion: 'TLSv1.3' });
}

async function closedPort(): Promise<number> {
  const server = createTcp();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

describe('an edge with several HTTPS ports', () => {
  it('is reached at another one where the usual one is closed', async () => {
    const port = await listen(edge('home'));
    const { pin } = certificate('home');
    const options = { host: '127.0.0.1', port: await closedPort(), pin, timeoutMs: 20_000 };

    const socket = await connectAnyPort(options, [await closedPort(), port]);

    expect(socket.remotePort).toBe(port);
    socket.destroy();
  });

  it('is not mistaken for another one that answers there', async () => {
    const stranger = await listen(edge('stranger'));
    const { pin } = certificate('home');
    const options = { host: '127.0.0.1', port: stranger, pin, timeoutMs: 20_000 };

    await expect(connectAnyPort(options, [await closedPort()])).rejects.toMatchObject({
      code: 'edge-impostor',
    });
  });

  it('fails as its usual port does', async () => {
    const { pin } = certificate('home');
    const port = await closedPort();
    const options = { host: '127.0.0.1', port, pin, timeoutMs: 20_000 };

    await expect(connectAnyPort(options, [await closedPort()])).rejects.toMatchObject({
      code: 'edge-unreachable',
      message: expect.stringContaining(`:${port} `),
    });
  });
});
