/**
 * Handshake messages on their way out of a device: room, type and datagram, as its disguise wants them or as WireGuard
 * has them. Slow path; data packets do the same in outbound.ts.
 */

import type { PacketBatch } from '../packet/batch.ts';
import { messageNames, messageSizes } from '../wire/disguise-rules.ts';
import type { MessageType, messageType } from '../wire/message.ts';
import type { TunnelContext } from './context.ts';

type HandshakeType = Exclude<MessageType, typeof messageType.transport>;

export interface MessagePlace {
  /** Of the message itself, from reserveMessage. */
  readonly offset: number;
  readonly address: number;
  readonly tos: number;
}

/** Takes room for a message and what goes before it; returns where the message begins, or -1. */
export function reserveMessage(context: TunnelContext, out: PacketBatch, type: HandshakeType): number {
  const prefix = context.disguise?.prefixOf(type) ?? 0;
  const start = out.reserve(prefix + sizeOf(type));
  return start < 0 ? start : start + prefix;
}

/** Gives the message its type on the wire. Before its macs: they cover it. */
export function markMessage(
  context: TunnelContext,
  out: PacketBatch,
  offset: number,
  type: HandshakeType,
): void {
  context.disguise?.mark(out.bytes, offset, type);
}

/** Appends the finished message's datagram. False where the batch is full. */
export function pushMessage(
  context: TunnelContext,
  out: PacketBatch,
  type: HandshakeType,
  { offset, address, tos }: MessagePlace,
): boolean {
  const start = context.disguise?.cover(out.bytes, offset, type) ?? offset;
  return out.push(start, sizeOf(type) + offset - start, address, tos);
}

function sizeOf(type: HandshakeType): number {
  return messageSizes[messageNames[type - 1]!];
}
