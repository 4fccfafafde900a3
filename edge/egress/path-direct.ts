/** The path of type direct: the default route of this machine, by ordinary sockets. */

import type { Duplex } from 'node:stream';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import { askPing, EchoSocket } from './echo-socket.ts';
import type { EgressPath, FlowProtocol, PathTarget } from './path.ts';
import { directError } from './path-errors.ts';
import { connectSystem } from './system-tcp.ts';
import { SystemUdp } from './system-udp.ts';

export class DirectPath implements EgressPath {
  readonly type = 'direct';
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  carries(protocol: FlowProtocol, family: number): boolean {
    return protocol !== 'icmp' || askPing(family === 4 ? 4 : 16).isAllowed;
  }

  trouble(): string | undefined {
    return undefined;
  }

  async dialTcp({ end }: PathTarget, signal: AbortSignal): Promise<Duplex> {
    try {
      return await connectSystem(end, signal);
    } catch (cause) {
      throw signal.aborted ? signal.reason : directError(cause);
    }
  }

  async openUdp({ end }: PathTarget): Promise<FarUdp> {
    try {
      return await SystemUdp.connect(end);
    } catch (cause) {
      throw directError(cause);
    }
  }

  async openEcho({ end }: PathTarget): Promise<FarUdp> {
    try {
      return new EchoSocket(end.address);
    } catch (cause) {
      throw directError(cause);
    }
  }

  close(): void {
    // Nothing of its own.
  }
}
