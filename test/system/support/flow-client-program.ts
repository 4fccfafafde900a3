// Worker entry of a client for tests: a tunnel that ends in a userspace stack, and calls that open connections
// through it. A byte of text a character.
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import type { FlowParts, FlowRole } from '../../../shared/node/flows/contract.ts';
import { runFlowThread } from '../../../shared/node/flows/flow-thread-body.ts';

export interface ClientCall {
  readonly address: Uint8Array;
  readonly port: number;
  readonly send: string;
}

/** What came back until the other side ended; `failure` where it did not come to that. */
export interface ClientAnswer {
  readonly received: string;
  readonly failure: string | undefined;
}

const udpPatienceMs = 1500;

runFlowThread((parts: FlowParts): FlowRole => {
  return {
    call(name, argument) {
      const asked = argument as ClientCall;
      if (name === 'tcp') return overTcp(parts, asked);
      if (name === 'hold') return hold(parts, asked);
      return overUdp(parts, asked);
    },
    close() {},
  };
});

/** Sends, ends our direction, and reads until the other side ends. */
async function overTcp(parts: FlowParts, asked: ClientCall): Promise<ClientAnswer> {
  try {
    const stream = await parts.stack.connectTcp({ destination: asked.address, port: asked.port });
    stream.end(Buffer.from(asked.send, 'latin1'));
    return { received: (await buffer(stream)).toString('latin1'), failure: undefined };
  } catch (error) {
    return { received: '', failure: failureOf(error) };
  }
}

/** Sends, keeps our direction open, and tells what came before the connection broke or ended. */
async function hold(parts: FlowParts, asked: ClientCall): Promise<ClientAnswer> {
  const stream = await parts.stack.connectTcp({ destination: asked.address, port: asked.port });
  stream.write(Buffer.from(asked.send, 'latin1'));
  let failure: string | undefined;
  stream.on('error', (error) => (failure = failureOf(error)));
  stream.once('data', () => parts.notify('held', undefined));
  stream.resume();
  await once(stream, 'close').catch(() => undefined);
  return { received: '', failure };
}

async function overUdp(parts: FlowParts, asked: ClientCall): Promise<ClientAnswer> {
  const channel = parts.stack.openUdp({ destination: asked.address, port: asked.port });
  if (channel === undefined) return { received: '', failure: 'full' };
  const answer = Promise.withResolvers<ClientAnswer>();
  const timer = setTimeout(() => answer.resolve({ received: '', failure: 'silence' }), udpPatienceMs);
  channel.onMessage((bytes) => {
    answer.resolve({ received: Buffer.from(bytes).toString('latin1'), failure: undefined });
  });
  channel.onClose((end) => answer.resolve({ received: '', failure: end }));
  channel.send(Buffer.from(asked.send, 'latin1'));
  const result = await answer.promise;
  clearTimeout(timer);
  channel.close();
  return result;
}

function failureOf(error: unknown): string {
  const { failure, code } = error as { failure?: string; code?: string };
  return failure ?? code ?? String(error);
}
