/**
 * A tunnel from one userspace stack to another through sockets of this machine, on this event loop: for rehearsals of
 * what programs do with a stack, and of all that carries it. The near one opens connections to anywhere, the far one is
 * asked for them. Two UDP ports are bound to any number meanwhile; keys are drawn and wiped, and nobody else has them.
 */

import { assert } from '../../core/base/assert.ts';
import type { Entropy } from '../../core/base/ports.ts';
import { keySize } from '../../core/crypto/suite.ts';
import type { NetLimits } from '../../core/netstack/limits.ts';
import { silentLog } from '../silent-log.ts';
import type { FlowHost } from './stack-host.ts';
import { StackTunnel } from './stack-tunnel.ts';

export interface RehearsalTunnelOptions {
  /** As the tunnel that it stands for. */
  readonly udp: 'linux' | 'dgram';
  readonly mtu: number;
  readonly entropy: Entropy;
}

/** Of the near end; the far one has its gateway's. */
export const nearAddress: Uint8Array = Uint8Array.of(10, 0, 0, 2);
const nearPrefix = '10.0.0.2/32';
const farAddress = Uint8Array.of(10, 0, 0, 1);
const everywhere = '0.0.0.0/0';
const loopback = '127.0.0.1';
/** Few at a time; what has ended is forgotten soon, since it would be most of the memory. */
const limits: Partial<NetLimits> = { connections: 64, timeWait: 2, memoryBytes: 2 * 1024 * 1024 };

export class RehearsalTunnel {
  readonly near: FlowHost;
  readonly far: FlowHost;
  readonly #ends: readonly StackTunnel[];

  private constructor(near: StackTunnel, far: StackTunnel) {
    this.near = near.host;
    this.far = far.host;
    this.#ends = [near, far];
  }

  /** Rejects with CulvertError where ports, cryptography or native calls cannot be had. */
  static async open({ udp, mtu, entropy }: RehearsalTunnelOptions): Promise<RehearsalTunnel> {
    const common = { udp, mtu, limits, log: silentLog, onEvent: () => undefined };
    const near = new StackTunnel({ ...common, addresses: [nearAddress], acceptAny: false });
    const far = new StackTunnel({ ...common, addresses: [farAddress], acceptAny: true });
    const tunnel = new RehearsalTunnel(near, far);
    try {
      for (const end of [near, far]) {
        const privateKey = new Uint8Array(keySize);
        entropy.fill(privateKey);
        await end.configure({ privateKey, listenPort: 0, peers: [] });
        privateKey.fill(0);
      }
      const there = far.status();
      const endpoint = { address: loopback, port: there.listenPort };
      await far.configure({ peers: [{ publicKey: keyOf(near), allowedIps: [nearPrefix] }] });
      await near.configure({ peers: [{ publicKey: keyOf(far), allowedIps: [everywhere], endpoint }] });
      return tunnel;
    } catch (cause) {
      tunnel.close();
      throw cause;
    }
  }

  /** Breaks what is open. Idempotent. */
  close(): void {
    for (const end of this.#ends) end.close();
  }
}

function keyOf(end: StackTunnel): Uint8Array {
  const { publicKey } = end.status();
  assert(publicKey !== undefined, 'an end that was given a private key has a public one');
  return publicKey;
}
