/** Why a path has the place that it has, in words: half a sentence for the list of paths. Pure. */

import type { PathHealth } from './path-health.ts';

export interface Standing {
  readonly id: string;
  readonly isBlock: boolean;
  readonly isDefault: boolean;
  readonly isDrained: boolean;
  /** Half a sentence where nothing can go there now. */
  readonly trouble: string | undefined;
  readonly health: PathHealth;
  /** What a connection is expected to take there, losses included; undefined where nothing was measured. */
  readonly costMs: number | undefined;
  readonly lossPercent: number;
}

/** From so much loss on it is worth a word. */
const notableLoss = 1;

/** `all`: every path, this one among them. */
export function reasonOf(one: Standing, all: readonly Standing[]): string {
  if (one.isBlock) return 'leads nowhere, on purpose';
  if (one.trouble !== undefined) return one.trouble;
  if (one.isDrained) return 'drained: new flows avoid it';
  if (one.health === 'down') return 'does not answer; flows avoid it';
  if (one.health === 'suspect') return 'did not answer a moment ago; it is looked at again';
  if (one.health === 'recovering') return 'answers again; it must prove itself first';
  const rivals = all.filter((other) => other.id !== one.id && isRival(other));
  if (one.isDefault) return `flows take it unless a rule or a pin says otherwise${comparison(one, rivals)}`;
  if (one.costMs === undefined) return 'not measured yet';
  const usual = all.find((other) => other.isDefault);
  if (usual?.costMs === undefined) return 'nothing went there yet';
  const byMs = Math.round(one.costMs - usual.costMs);
  const loss = one.lossPercent >= notableLoss ? `, loses ${Math.round(one.lossPercent)} %` : '';
  if (byMs > 0) return `${byMs} ms slower than ${usual.id}${loss}`;
  return `not better than ${usual.id} by enough, or for long enough${loss}`;
}

/** Half a sentence where measurements say that a path answers nobody. */
export function silenceOf(health: PathHealth): string | undefined {
  return health === 'down' ? 'the path does not answer' : undefined;
}

function isRival(other: Standing): boolean {
  return !other.isBlock && !other.isDrained && other.trouble === undefined && other.costMs !== undefined;
}

function comparison(one: Standing, rivals: readonly Standing[]): string {
  const next = rivals.toSorted((a, b) => (a.costMs ?? 0) - (b.costMs ?? 0))[0];
  if (one.costMs === undefined || next?.costMs === undefined) return '';
  return `: about ${Math.round(one.costMs)} ms, next ${next.id} with ${Math.round(next.costMs)} ms`;
}
