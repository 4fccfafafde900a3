/**
 * A visitor who opens pages through a SOCKS5 proxy on this machine, as `curl -x socks5h://` does: names are
 * given to the proxy as they are (RFC 1928). Small on purpose, so that nothing but Node is needed.
 */

import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface Page {
  readonly status: number;
  readonly text: string;
  /** From the request to the last byte, the connection included. */
  readonly ms: number;
}

const loopback = '127.0.0.1';
const giveUpMs = 10_000;
const maxPageBytes = 1_000_000;
const version = 5;
const withoutPassword = 0;
const connectCommand = 1;
const nameKind = 3;
const answerHeadSize = 4;
/** Bytes of the bound address in an answer, by its kind. */
const boundSizes: Readonly<Record<number, number>> = { 1: 4, 4: 16 };
const portSize = 2;
const roundTrips = 20;

/** Opens http:// and https:// pages through the proxy on `proxyPort`. Throws CulvertError 'no-reply'. */
export async function openPage(proxyPort: number, url: string): Promise<Page> {
  const began = performance.now();
  const target = new URL(url);
  const stream = await openStream(proxyPort, target);
  try {
    const response = await ask(target, agentOn(stream));
    const text = await readAll(response);
    return { status: response.statusCode ?? 0, text, ms: performance.now() - began };
  } catch (cause) {
    throw failure(target, cause);
  } finally {
    stream.destroy();
  }
}

/** The median time of some requests on one open connection, milliseconds. */
export async function roundTripMs(proxyPort: number, url: string): Promise<number> {
  const target = new URL(url);
  const stream = await openStream(proxyPort, target);
  const agent = agentOn(stream);
  const times: number[] = [];
  try {
    for (let i = 0; i <= roundTrips; i++) {
      const began = performance.now();
      await readAll(await ask(target, agent));
      times.push(performance.now() - began);
    }
  } catch (cause) {
    throw failure(target, cause);
  } finally {
    stream.destroy();
  }
  // The first one also waits for whatever starts with a connection.
  return times.slice(1).toSorted((a, b) => a - b)[roundTrips / 2] ?? 0;
}

/** Bits a second of one download, from its first byte to its last or until `durationMs` have passed. */
export async function downloadBps(proxyPort: number, url: string, durationMs: number): Promise<number> {
  const target = new URL(url);
  const stream = await openStream(proxyPort, target);
  try {
    const response = await ask(target, agentOn(stream));
    if (response.statusCode !== 200) throw new Error(`it answered ${response.statusCode}`);
    const began = performance.now();
    let bytes = 0;
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      if (performance.now() - began > durationMs) break;
    }
    return (bytes * 8 * 1000) / (performance.now() - began);
  } catch (cause) {
    throw failure(target, cause);
  } finally {
    stream.destroy();
  }
}

/** A connection to the target of a URL, by the proxy, and TLS where it asks for that. */
async function openStream(proxyPort: number, target: URL): Promise<Duplex> {
  const isSecure = target.protocol === 'https:';
  const port = Number(target.port || (isSecure ? 443 : 80));
  const host = target.hostname.replace(/^\[(.*)\]$/, '$1');
  let socket: Socket | undefined;
  try {
    socket = connectTcp({ host: loopback, port: proxyPort });
    socket.setTimeout(giveUpMs, () => socket?.destroy(new Error('nothing came for too long')));
    await once(socket, 'connect');
    await askForTarget(socket, host, port);
    if (!isSecure) return socket;
    const secure = connectTls({ socket, host, servername: /[a-z]/i.test(host) ? host : '' });
    await once(secure, 'secureConnect');
    return secure;
  } catch (cause) {
    socket?.destroy();
    throw failure(target, cause);
  }
}

async function askForTarget(socket: Socket, host: string, port: number): Promise<void> {
  socket.write(Uint8Array.of(version, 1, withoutPassword));
  const choice = await readBytes(socket, 2);
  if (choice[0] !== version || choice[1] !== withoutPassword) throw new Error('that is no SOCKS5 proxy');
  const name = Buffer.from(host);
  const head = Uint8Array.of(version, connectCommand, 0, nameKind, name.length);
  socket.write(Buffer.concat([head, name, Uint8Array.of(port >>> 8, port & 0xff)]));
  const answer = await readBytes(socket, answerHeadSize);
  if (answer[1] !== 0) throw new Error(`the proxy refused with code ${answer[1]}`);
  const size = boundSizes[answer[3] ?? 0] ?? (await readBytes(socket, 1))[0] ?? 0;
  await readBytes(socket, size + portSize);
}

/** Exactly so many bytes; what came behind them stays in the socket. */
async function readBytes(socket: Socket, size: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(size) as Buffer | null;
    if (bytes?.length === size) return bytes;
    if (socket.readableEnded || socket.destroyed || bytes !== null) throw new Error('the proxy hung up');
    const { signal, done } = untilDone();
    await Promise.race(['readable', 'end', 'close'].map((event) => once(socket, event, { signal })));
    done();
  }
}

/** A signal that takes listeners away again. */
function untilDone(): { readonly signal: AbortSignal; readonly done: () => void } {
  const listening = new AbortController();
  return { signal: listening.signal, done: () => listening.abort() };
}

function agentOn(stream: Duplex): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => stream;
  return agent;
}

function ask(target: URL, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const path = `${target.pathname}${target.search}`;
    const asked = request({ agent, path, headers: { host: target.host }, timeout: giveUpMs }, resolve);
    asked.on('timeout', () => asked.destroy(new Error('nothing came for too long')));
    asked.on('error', reject);
    asked.end();
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > maxPageBytes) throw new Error('the page is too long');
  }
  return Buffer.concat(chunks).toString('utf8');
}

function failure(target: URL, cause: unknown): CulvertError {
  if (cause instanceof CulvertError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CulvertError('no-reply', {
    text: `${target.href} did not load through the proxy: ${why}.`,
    remedy: 'Try again; if it happens again, please report it with the text above.',
    cause,
  });
}
