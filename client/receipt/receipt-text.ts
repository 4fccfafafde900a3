/** A receipt's sentence: what was measured, and nothing that was not. Pure. */

import type { Receipt } from '../../shared/core/control/path-status.ts';

export function receiptText({ tunnel, direct, path }: Omit<Receipt, 'text' | 'measured'>): string {
  if (tunnel === undefined) return notMeasured.yet;
  const parts = [`Through the tunnel the edge answers in ${tunnel.connectMs} ms${directText(direct)}`];
  if (tunnel.lookupMs !== undefined) parts.push(`its resolver in ${tunnel.lookupMs} ms`);
  if (path?.rttMs !== undefined) parts.push(`its path ${path.id} adds ${path.rttMs} ms`);
  if (tunnel.goodputMbps !== undefined) {
    parts.push(`a short download comes with ${Math.round(tunnel.goodputMbps * 10) / 10} Mbit/s`);
  }
  return `${parts.join(', ')}.`;
}

export const notMeasured = {
  yet: 'The speed of this connection was not measured yet.',
  stock:
    'The speed of this connection is not measured: only an edge of culvert that this machine enrolled with answers.',
  failed: 'The speed of this connection could not be measured: the edge did not answer inside the tunnel.',
} as const;

function directText(direct: Receipt['direct']): string {
  if (direct?.connectMs !== undefined) return ` (outside it in ${direct.connectMs} ms)`;
  if (direct?.handshakeMs !== undefined) return ` (its last handshake outside took ${direct.handshakeMs} ms)`;
  return ' (outside it nothing was measured: all traffic is in the tunnel)';
}
