// The programs under test and how to start one of them inside a host. The reference is Debian's wireguard-go.
// CULVERT_INTEROP_OURS=/path/to/program puts another one in the place of ours: so the tests themselves are proven.
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, type Host, type Running } from './hosts.ts';

export const root: string = fileURLToPath(new URL('../../..', import.meta.url));

export type Kind = 'ours' | 'reference';

const replacement = process.env['CULVERT_INTEROP_OURS'];

/** False while another program stands in for ours: what only ours can do is then not asked. */
export const oursIsCulvert: boolean = replacement === undefined;

const programs: Readonly<Record<Kind, string>> = {
  ours: replacement ?? join(root, 'node_modules', '.bin', 'culvert-wg'),
  reference: 'wireguard-go',
};

/** Who begins and who answers. */
export const pairings: readonly (readonly [initiator: Kind, responder: Kind])[] = [
  ['ours', 'reference'],
  ['reference', 'ours'],
  ['ours', 'ours'],
];

const socketFolder = '/var/run/wireguard';
const startTimeoutMs = 10_000;

let madeInterfaces = 0;

/** Sockets of all namespaces share one folder, so names are unique on the machine. */
export function newInterfaceName(): string {
  madeInterfaces += 1;
  return `cv${process.pid.toString(36)}x${madeInterfaces}`;
}

export function programOf(kind: Kind): string {
  return programs[kind];
}

export function socketOf(name: string): string {
  return join(socketFolder, `${name}.sock`);
}

export interface Wg {
  readonly host: Host;
  readonly kind: Kind;
  readonly name: string;
  readonly process: Running;
  /** `wg set NAME …`, words may be given together; throws where wg fails. */
  set(...words: string[]): Promise<void>;
  /** `wg show NAME …`. */
  show(...words: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Starts one in the foreground and waits until its socket answers. */
export async function startWg(
  host: Host,
  kind: Kind,
  options: { name?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Wg> {
  const name = options.name ?? newInterfaceName();
  const process = host.start([programs[kind], '-f', name], options.env);
  const wg: Wg = {
    host,
    kind,
    name,
    process,
    set: async (...words) => {
      await host.run('wg', 'set', name, ...words.flatMap((word) => word.split(' ')));
    },
    show: async (...words) => await host.run('wg', 'show', name, ...words),
    stop: async () => {
      await process.stop();
      rmSync(socketOf(name), { force: true });
    },
  };
  const ready = await eventually(async () => process.hasEnded() || (await answers(name)), startTimeoutMs);
  if (!ready || process.hasEnded()) throw new Error(`${programs[kind]} did not start: ${process.text()}`);
  return wg;
}

/** Asks the socket itself: `wg` removes a socket that refuses it, even one that was made anew in that moment. */
export async function answers(name: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(socketOf(name), () => socket.write('get=1\n\n'));
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.endsWith('\n\n')) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(/(^|\n)errno=0\n\n$/.test(text)));
  });
}
