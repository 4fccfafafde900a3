/**
 * The closed list of reasons for which a packet may be dropped. Hostile or unlucky input is one of
 * these, counted, and nothing else happens.
 */

export const dropReasons = [
  // inbound datagrams
  'too-short',
  'unknown-type',
  'undisguised',
  'wrong-length',
  'bad-mac1',
  'bad-mac2-under-load',
  'rate-limited',
  'bad-handshake',
  'unknown-peer',
  'stale-timestamp',
  'initiation-flood',
  'unknown-index',
  'unexpected-response',
  'bad-cookie',
  'no-keypair',
  'expired-keypair',
  'counter-limit',
  'bad-tag',
  'replayed',
  // packets inside the tunnel
  'malformed-packet',
  'disallowed-source',
  'over-rate',
  'over-quota',
  'no-route',
  'no-endpoint',
  'staging-full',
  'batch-full',
  'receive-overflow',
  'read-overflow',
  'send-failed',
  'write-failed',
] as const;

export type DropReason = (typeof dropReasons)[number];

/** What handling one packet came to. */
export type Verdict = 'ok' | DropReason;

export type DropCounts = Record<DropReason, number>;

/** A table of zeros, one per reason. */
export function noDrops(): DropCounts {
  const counts: Partial<DropCounts> = {};
  for (const reason of dropReasons) counts[reason] = 0;
  return counts as DropCounts;
}
