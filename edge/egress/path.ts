/**
 * A way out of the edge (product.md §6, egress.paths): the contract that every type of path implements, and how
 * one says that it failed. Types, and no policy: who goes where is select.ts.
 */

import type { Duplex } from 'node:stream';
import type { FlowEnd, Refusal } from '../../shared/core/netstack/events.ts';
import type { FarRefusal, FarUdp } from '../../shared/node/flows/contract.ts';

export const pathTypes = ['direct', 'source', 'wireguard', 'socks5', 'http', 'block'] as const;
export type PathType = (typeof pathTypes)[number];

/** 'icmp': echo requests and their replies, nothing else. */
export type FlowProtocol = 'tcp' | 'udp' | 'icmp';

/** Where a flow wants to go. */
export interface PathTarget {
  /** 4 or 16 bytes, and the port: what was judged, and what is dialled. */
  readonly end: FlowEnd;
  /** The name behind the address where it is known for certain; only for upstreams that are told names. */
  readonly name?: string | undefined;
}

export interface EgressPath {
  readonly id: string;
  readonly type: PathType;
  /** Whether such flows can go this way at all. `family`: bytes of the address. */
  carries(protocol: FlowProtocol, family: number): boolean;
  /** Half a sentence: why nothing can go this way at the moment; undefined where it may be tried. */
  trouble(): string | undefined;
  /**
   * A connected stream with half-closing, which is the caller's. Rejects with PathError, or with the signal's
   * reason; leaves nothing open then.
   */
  dialTcp(target: PathTarget, signal: AbortSignal): Promise<Duplex>;
  /** Rejects with PathError. */
  openUdp(target: PathTarget): Promise<FarUdp>;
  /** A series of echo requests; there where `carries` says so. Rejects with PathError. */
  openEcho?(target: PathTarget): Promise<FarUdp>;
  /** Both directions, headers included, where the path counts for itself; absent: its flows are counted. */
  bytes?(): number;
  /** Idempotent. Ends what the path has of its own; flows are ended by whoever has them. */
  close(): void;
}

/** Whose fault it is: only the path's says something about the path. */
export type FailureOf = 'path' | 'destination';

/** What became of an attempt: answered with a refusal, not to be had, or never answered. */
export type FailureKind = 'refused' | 'unreachable' | 'timeout';

/** Why a flow did not come about by this path. `message` is one sentence, without addresses and names. */
export class PathError extends Error implements FarRefusal {
  readonly of: FailureOf;
  readonly kind: FailureKind;

  constructor(of: FailureOf, kind: FailureKind, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? {} : { cause });
    this.of = of;
    this.kind = kind;
  }

  /** What the asker in the tunnel is told. A path's own trouble looks like a network that is not there. */
  get refusal(): Refusal {
    if (this.of === 'path') return 'unreachable';
    const answers = { refused: 'reset', unreachable: 'unreachable', timeout: 'drop' } as const;
    return answers[this.kind];
  }
}
