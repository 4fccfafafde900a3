/**
 * Did somebody take away what we put there? News → yes or no, so that routes and rules are made again (that is safe to
 * repeat, and announces no removal, so it never answers itself). Pure.
 */

import type { NetworkNews } from './source.ts';

export interface Ours {
  readonly interfaceName: string;
  readonly table: number;
  /** Priorities of our rules. */
  readonly priorities: readonly number[];
}

/** What went missing, undefined where nothing did. 'unknown': news were lost, so look or repeat. */
export type Loss = 'link' | 'route' | 'rule' | 'unknown' | undefined;

export function lossIn(news: NetworkNews, ours: Ours): Loss {
  for (const message of news.messages) {
    switch (message.kind) {
      case 'link':
        if (message.name === ours.interfaceName && (message.gone || !message.up)) return 'link';
        break;
      case 'route':
        if (message.gone && message.table === ours.table) return 'route';
        break;
      case 'rule':
        if (message.gone && (message.table === ours.table || ours.priorities.includes(message.priority))) {
          return 'rule';
        }
        break;
      default:
        break;
    }
  }
  return news.missed ? 'unknown' : undefined;
}
