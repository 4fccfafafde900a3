// Starts the small programs of this folder inside a host.
import { join } from 'node:path';
import { eventually, type Host, type Output, type Running } from './hosts.ts';
import { root } from './implementations.ts';

export interface Counted {
  readonly total: number;
  readonly distinct: number;
  readonly inOrder: boolean;
}

export interface Flooded {
  readonly sent: number;
  readonly cookies: number;
}

function argv(program: string, words: readonly (string | number)[]): string[] {
  return [process.execPath, join(root, 'test', 'interop', 'support', program), ...words.map(String)];
}

/** Starts one and waits for its first line. */
async function startListening(host: Host, program: string, ...words: (string | number)[]): Promise<Running> {
  const one = host.start(argv(program, words));
  const ready = await eventually(() => one.text().includes('\n') || one.hasEnded());
  if (!ready || one.hasEnded()) throw new Error(`${program} did not start: ${one.text()}`);
  return one;
}

/** A partner for `exchange`. */
export async function startStreamServer(host: Host, port = 5000): Promise<Running> {
  return await startListening(host, 'stream-program.ts', 'serve', port);
}

/** Sends and receives `bytes` over one TCP connection. Output 'ok' when both directions arrived unchanged. */
export async function exchange(
  host: Host,
  address: string,
  bytes: number,
  options: { port?: number; paceMs?: number; timeoutMs?: number } = {},
): Promise<string> {
  const words = ['exchange', address, options.port ?? 5000, bytes, options.paceMs ?? 0];
  const output: Output = await host.try(argv('stream-program.ts', words), {
    timeoutMs: options.timeoutMs ?? 40_000,
  });
  return output.out.trim() || `no result (${output.code}): ${output.err.trim()}`;
}

export interface DatagramCounter {
  finish(): Promise<Counted>;
}

export async function startDatagramCounter(host: Host, port = 5001): Promise<DatagramCounter> {
  const one = await startListening(host, 'datagram-program.ts', 'count', port);
  const finish = async (): Promise<Counted> => {
    one.child.stdin?.end();
    await one.ended;
    return JSON.parse(one.text().trim().split('\n').at(-1) ?? '{}') as Counted;
  };
  return { finish };
}

export async function sendDatagrams(
  host: Host,
  address: string,
  count: number,
  gapMs = 2,
  port = 5001,
): Promise<void> {
  await host.run(...argv('datagram-program.ts', ['send', address, port, count, gapMs]));
}

export interface RelayOptions {
  readonly port: number;
  readonly target: string;
  readonly targetPort: number;
  readonly chances: Readonly<Record<string, number | boolean>>;
}

export async function startRelay(host: Host, options: RelayOptions): Promise<Running> {
  const { port, target, targetPort, chances } = options;
  return await startListening(host, 'relay-program.ts', port, target, targetPort, JSON.stringify(chances));
}

/** Sends everything recorded once more; returns how many datagrams that were. */
export async function replay(relay: Running): Promise<number> {
  relay.child.stdin?.write('replay\n');
  await eventually(() => /replayed \d+/.test(relay.text()));
  return Number(/replayed (\d+)/.exec(relay.text())?.[1] ?? 0);
}

export interface FloodOptions {
  readonly address: string;
  readonly port: number;
  readonly publicKey: string;
  readonly seconds: number;
  readonly rate: number;
  readonly mac1: 'valid' | 'bad';
}

/** Floods in the background; the result comes when it is over. */
export async function startFlood(
  host: Host,
  options: FloodOptions,
): Promise<{ readonly result: Promise<Flooded> }> {
  const { address, port, publicKey, seconds, rate, mac1 } = options;
  const one = await startListening(host, 'flood-program.ts', address, port, publicKey, seconds, rate, mac1);
  return {
    result: one.ended.then(() => JSON.parse(one.text().trim().split('\n').at(-1) ?? '{}') as Flooded),
  };
}
