/**
 * A bad link between two network namespaces, as a process of its own (relay.ts): carries any IP packet. Started
 * by relay-child.ts. Prints 'ready', then one line of counts for each line of orders, and one when it ends.
 * Usage: relay-program.ts SETTINGS-AS-JSON (RelaySettings); lines on standard input: RelayOrder. Needs root.
 */

import { createInterface } from 'node:readline';
import { monoMs } from '../../core/base/time.ts';
import { CulvertError } from '../../core/control/codes.ts';
import { requireLibc } from '../ffi/libc.ts';
import { run } from '../run.ts';
import { Relay, type RelayInterfaces } from './relay.ts';
import { parseRelayOrder, parseRelaySettings, type RelayEnd } from './relay-settings.ts';

/** How long packets are moved before signals and orders are looked at. */
const turnMs = 5;

async function main(words: readonly string[]): Promise<number> {
  const settings = parseRelaySettings(words[0] ?? '');
  const names: RelayInterfaces = { first: `rla${process.pid}`, second: `rlb${process.pid}` };
  const relay = new Relay(requireLibc(), settings, names);
  try {
    await place(names.first, settings.first);
    await place(names.second, settings.second);
    await carry(relay);
  } finally {
    relay.close();
  }
  answer(relay);
  return 0;
}

/** Brings an interface to where it is wanted. */
async function place(name: string, end: RelayEnd): Promise<void> {
  const { namespace } = end;
  const ip = (...words: string[]): Promise<unknown> =>
    run('ip', namespace === undefined ? words : ['-n', namespace, ...words]);
  if (namespace !== undefined) await run('ip', ['link', 'set', name, 'netns', namespace]);
  await ip('link', 'set', name, 'name', end.interface);
  for (const address of end.addresses) {
    const noProbe = address.includes(':') ? ['nodad'] : [];
    await ip('address', 'add', address, 'dev', end.interface, ...noProbe);
  }
  await ip('link', 'set', end.interface, 'up');
}

/** Until a signal comes. */
async function carry(relay: Relay): Promise<void> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  process.stdout.on('error', end);
  const orders = createInterface({ input: process.stdin });
  orders.on('line', (line) => obey(relay, line));
  process.stdout.write('ready\n');
  while (!ended) {
    turn(relay);
    await new Promise((resolve) => setImmediate(resolve));
  }
  orders.close();
}

function turn(relay: Relay): void {
  const began = performance.now();
  let now = began;
  while (now - began < turnMs) {
    if (relay.step(monoMs(now)) === 0) relay.wait(monoMs(now));
    now = performance.now();
  }
}

function obey(relay: Relay, line: string): void {
  try {
    const order = parseRelayOrder(line);
    if (order.forward !== undefined) relay.forward.change(order.forward);
    if (order.backward !== undefined) relay.backward.change(order.backward);
    answer(relay, order.id);
  } catch (cause) {
    complain(cause);
  }
}

function answer(relay: Relay, id?: number): void {
  process.stdout.write(`${JSON.stringify({ id, ...relay.counts() })}\n`);
}

function complain(cause: unknown): void {
  const code = cause instanceof CulvertError ? cause.code : 'internal';
  process.stderr.write(`relay: ${cause instanceof Error ? cause.message : String(cause)} [${code}]\n`);
}

let code = 1;
try {
  code = await main(process.argv.slice(2));
} catch (cause) {
  complain(cause);
}
process.exit(code);
