/**
 * Which of several edges is best, and when to change: what probes have measured, with the time. Pure. An edge that works
 * is left only for one that is clearly nearer, for a while already, and never while it is busy; a dead one at once.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { after, type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';

/** What is known of one edge that is not in use. */
export interface EdgeRecord {
  /** Of the last answers, the newest last. */
  readonly rtts: readonly number[];
  readonly answeredAt?: MonoMs;
  readonly failedAt?: MonoMs;
}

export type EdgeRecords = ReadonlyMap<string, EdgeRecord>;

/** Of one probe; absent: nobody answered. */
export type ProbeResult = { readonly rttMs: number; readonly place?: Endpoint } | undefined;

/** An answer is believed for so long. */
export const freshMs: number = 90 * secondMs;
/** Between two moves for being nearer. */
export const dwellMs: number = 5 * minuteMs;
/** An edge that failed is not gone back to for being nearer before this. */
export const penanceMs: number = 10 * minuteMs;
/** So many answers in a row say how near an edge is. */
const enoughAnswers = 3;
const keptAnswers = 5;
/** Nearer by both: a share of the way, and milliseconds. */
const nearerShare = 0.7;
const nearerMs = 15;
const maxEdges = 100;

export function recordProbe(
  records: EdgeRecords,
  edge: string,
  result: ProbeResult,
  now: MonoMs,
): EdgeRecords {
  const before: EdgeRecord = records.get(edge) ?? { rtts: [] };
  const next: EdgeRecord =
    result === undefined
      ? { ...before, rtts: [], failedAt: now }
      : { ...before, rtts: [...before.rtts, result.rttMs].slice(-keptAnswers), answeredAt: now };
  return new Map([...[...records].filter(([name]) => name !== edge).slice(-(maxEdges - 1)), [edge, next]]);
}

/** The edge in use did not answer any more. */
export function recordFailure(records: EdgeRecords, edge: string, now: MonoMs): EdgeRecords {
  return recordProbe(records, edge, undefined, now);
}

/** Those that answered lately, the nearest first. */
export function ranked(records: EdgeRecords, among: readonly string[], now: MonoMs): readonly string[] {
  const known = among.flatMap((name) => {
    const record = records.get(name);
    return record !== undefined && isFresh(record, now) ? [{ name, rttMs: typical(record.rtts) }] : [];
  });
  return known.toSorted((a, b) => a.rttMs - b.rttMs).map(({ name }) => name);
}

/** It was asked lately and did not answer. */
export function isSilent(records: EdgeRecords, edge: string, now: MonoMs): boolean {
  const { failedAt, rtts = [] } = records.get(edge) ?? {};
  return failedAt !== undefined && rtts.length === 0 && now <= after(failedAt, freshMs);
}

export interface InUse {
  readonly edge: string;
  /** Of its own handshake; absent: nobody knows, and then nothing is nearer. */
  readonly rttMs?: number;
  readonly since: MonoMs;
  /** Hardly anything is carried now. */
  readonly isQuiet: boolean;
}

/** The edge that is worth leaving a working one for; undefined: stay. */
export function nearerThan(
  inUse: InUse,
  records: EdgeRecords,
  among: readonly string[],
  now: MonoMs,
): string | undefined {
  const { rttMs, since, isQuiet, edge } = inUse;
  if (rttMs === undefined || !isQuiet || now < after(since, dwellMs)) return undefined;
  return ranked(records, among, now).find((name) => {
    const { rtts = [], failedAt } = records.get(name) ?? {};
    if (name === edge || rtts.length < enoughAnswers) return false;
    if (failedAt !== undefined && now < after(failedAt, penanceMs)) return false;
    const other = typical(rtts);
    return other < rttMs * nearerShare && other < rttMs - nearerMs;
  });
}

function isFresh({ rtts, answeredAt }: EdgeRecord, now: MonoMs): boolean {
  return rtts.length > 0 && answeredAt !== undefined && now <= after(answeredAt, freshMs);
}

/** The median: one slow answer says nothing. */
function typical(rtts: readonly number[]): number {
  const sorted = rtts.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.POSITIVE_INFINITY;
}
