/** Asks one device that follows the edge to try its ports from outside, and waits for the answer. One question at a time. */

import type { Entropy } from '../../shared/core/base/ports.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import type { ConfigEvent } from '../../shared/core/registration/config-events.ts';
import {
  maxOutsidePorts,
  type OutsidePort,
  type OutsideReport,
} from '../../shared/core/registration/outside-api.ts';
import { newId } from '../registration/secrets.ts';

export interface OutsideDeskParts {
  /** Tells one device; undefined where none follows. */
  readonly tell: (event: ConfigEvent) => string | undefined;
  readonly entropy: Entropy;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

/** 'nobody': no device follows; 'silent': it did not tell in time. */
export type OutsideAnswer = readonly OutsidePort[] | 'nobody' | 'silent';

interface Asked {
  readonly id: string;
  readonly device: string;
  readonly end: (answer: OutsideAnswer) => void;
}

/** A device tries a port for four seconds at most, several at once. */
export const outsidePatienceMs: number = 15 * secondMs;

export class OutsideDesk {
  readonly #parts: OutsideDeskParts;
  #asked: Asked | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: OutsideDeskParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  ask(httpsPorts: readonly number[]): Promise<OutsideAnswer> {
    const next = this.#last.then(() => this.#ask(httpsPorts.slice(0, maxOutsidePorts)));
    this.#last = next;
    return next;
  }

  /** A device tells; what nobody asked it is passed over. */
  handleReport(device: string, report: OutsideReport): void {
    const asked = this.#asked;
    if (asked?.id === report.id && asked.device === device) asked.end(report.ports);
  }

  #ask(httpsPorts: readonly number[]): Promise<OutsideAnswer> {
    const { tell, entropy, after = timeout } = this.#parts;
    const id = newId(entropy);
    const device = tell({ kind: 'look-from-outside', id, httpsPorts });
    if (device === undefined) return Promise.resolve('nobody');
    return new Promise((resolve) => {
      const cancel = after(outsidePatienceMs, () => end('silent'));
      const end = (answer: OutsideAnswer): void => {
        cancel();
        this.#asked = undefined;
        resolve(answer);
      };
      this.#asked = { id, device, end };
    });
  }
}

function timeout(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}
