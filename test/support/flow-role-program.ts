/**
 * A flow worker for tests: port 7 echoes (TCP and UDP), port 9 takes everything and says how much it was at the
 * end, port 13 refuses. Told what to do by calls.
 */

import type { Duplex } from 'node:stream';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { FlowParts, FlowRole, StackHost, TcpIncoming } from '../../shared/node/flows/contract.ts';
import { runFlowThread } from '../../shared/node/flows/flow-thread-body.ts';

interface Target {
  readonly to: Uint8Array;
  readonly size: number;
}

const streamSeed = 13;

function makeRole({ stack, settings, notify }: FlowParts): FlowRole {
  stack.listenTcp(7, echo);
  stack.listenTcp(9, takeAll);
  stack.listenTcp(13, (incoming) => incoming.refuse('reset'));
  stack.listenUdp(7, (channel) => channel.onMessage((bytes) => channel.send(bytes)));
  const { fails } = settings as { readonly fails?: boolean };
  if (fails === true) throw new CulvertError('bad-setting', { text: 'the role cannot begin' });
  const calls: Record<string, (argument: Target) => unknown> = {
    transfer: (target) => transfer(stack, target),
    echoMany: (target) => echoMany(stack, target),
    refused: async ({ to }) =>
      stack.connectTcp({ destination: to, port: 13 }).catch((error: unknown) => failureOf(error)),
    datagram: (target) => datagram(stack, target),
    flood: (target) => flood(stack, target),
    usage: () => stack.usage,
    fail: () => {
      throw new CulvertError('bad-request', { text: 'not that' });
    },
    bug: () => {
      setImmediate(() => {
        throw new Error('a bug in the role');
      });
    },
    bugInAnswer: () => {
      throw new Error('a bug in an answer');
    },
  };
  return {
    call: (name, argument) => calls[name]?.(argument as Target),
    close: () => notify('closed', true),
  };
}

function echo(incoming: TcpIncoming): void {
  const stream = incoming.accept();
  stream?.pipe(stream);
}

function takeAll(incoming: TcpIncoming): void {
  const stream = incoming.accept();
  let received = 0;
  let wrong = 0;
  stream?.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte !== byteAt(received++)) wrong++;
  });
  stream?.on('end', () => stream.end(`${received} bytes, ${wrong} wrong`));
}

function byteAt(position: number): number {
  return (position * streamSeed + (position >>> 8)) & 255;
}

/** Sends a known stream to port 9 and returns what the other side says about it. */
async function transfer(stack: StackHost, { to, size }: Target): Promise<string> {
  const stream = await stack.connectTcp({ destination: to, port: 9 });
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = byteAt(i);
  stream.end(bytes);
  return textOf(stream);
}

/** `size` connections at a time; returns how many came back right. */
async function echoMany(stack: StackHost, { to, size }: Target): Promise<number> {
  const one = async (i: number): Promise<boolean> => {
    const stream = await stack.connectTcp({ destination: to, port: 7 });
    stream.end(`number ${i}`);
    return (await textOf(stream)) === `number ${i}`;
  };
  const outcomes = await Promise.all(Array.from({ length: size }, (_, i) => one(i)));
  return outcomes.filter(Boolean).length;
}

function datagram(stack: StackHost, { to, size }: Target): Promise<number> {
  return new Promise((resolve) => {
    const channel = stack.openUdp({ destination: to, port: 7 });
    channel?.onMessage((bytes) => {
      resolve(bytes.length);
      channel.close();
    });
    channel?.send(new Uint8Array(size));
  });
}

/** Keeps the worker busy until it is stopped. Returns as soon as bytes flow. */
async function flood(stack: StackHost, { to }: Target): Promise<void> {
  const stream = await stack.connectTcp({ destination: to, port: 7 });
  const chunk = Buffer.alloc(65_536);
  const write = (): void => {
    while (!stream.destroyed && stream.write(chunk));
    stream.once('drain', write);
  };
  write();
  await new Promise((resolve) => {
    stream.once('data', resolve);
  });
}

async function textOf(stream: Duplex): Promise<string> {
  let text = '';
  for await (const piece of stream) text += String(piece);
  return text;
}

function failureOf(error: unknown): unknown {
  return (error as { readonly failure?: unknown }).failure;
}

runFlowThread(makeRole);
