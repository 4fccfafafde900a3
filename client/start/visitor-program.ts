/**
 * The visitor of the demonstration: a process in the client's network that opens pages as any program
 * would, knowing nothing of culvert. Prints one JSON object. Started by whole-device-stage.ts.
 * Usage: visitor-program.ts get URL | visitor-program.ts measure URL MILLISECONDS
 */

import { Agent, get, type IncomingMessage, request } from 'node:http';

const giveUpMs = 3000;
const roundTrips = 20;
const block = Buffer.alloc(256 * 1024);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function open(url: string, withAgent = agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent: withAgent, timeout: giveUpMs }, resolve);
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

async function page(url: string): Promise<object> {
  const began = performance.now();
  try {
    const { from } = JSON.parse(await readAll(await open(url))) as { from: string };
    return { ok: true, from, ms: performance.now() - began };
  } catch (cause) {
    return { ok: false, why: (cause as NodeJS.ErrnoException).code ?? String(cause) };
  }
}

/** The median of some requests on one open connection. */
async function roundTripMs(url: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i <= roundTrips; i++) {
    const began = performance.now();
    await readAll(await open(url));
    times.push(performance.now() - began);
  }
  // The first opened the connection.
  return times.slice(1).toSorted((a, b) => a - b)[roundTrips / 2] ?? 0;
}

async function download(url: string, durationMs: number): Promise<number> {
  const response = await open(`${url}down`, new Agent());
  const began = performance.now();
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (performance.now() - began > durationMs) break;
  }
  return bitsPerSecond(bytes, performance.now() - began);
}

/** Counted by the receiver, from the first byte sent to its answer. */
function upload(url: string, durationMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const judge = async (response: IncomingMessage): Promise<number> => {
      const { received } = JSON.parse(await readAll(response)) as { received: number };
      return bitsPerSecond(received, performance.now() - began);
    };
    const asked = request(`${url}up`, { method: 'POST' }, (response) => resolve(judge(response)));
    asked.on('error', reject);
    const pour = (): void => {
      let room = true;
      while (room && performance.now() - began < durationMs) room = asked.write(block);
      if (performance.now() - began < durationMs) asked.once('drain', pour);
      else asked.end();
    };
    pour();
  });
}

function bitsPerSecond(bytes: number, ms: number): number {
  return (bytes * 8 * 1000) / ms;
}

async function measure(url: string, durationMs: number): Promise<object> {
  return {
    roundTripMs: await roundTripMs(url),
    downBps: await download(url, durationMs / 2),
    upBps: await upload(url, durationMs / 2),
  };
}

const [what = '', url = '', durationMs = '3000'] = process.argv.slice(2);
const result = what === 'measure' ? await measure(url, Number(durationMs)) : await page(url);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
