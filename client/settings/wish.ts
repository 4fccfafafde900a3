/** What the user wants, across crashes: on with which edge, or off. */

import { readFileSync } from 'node:fs';
import { noEdge } from '../connection/state.ts';
import type { WishPort } from '../driver/ports.ts';
import { writeAtomic } from './atomic-file.ts';
import { isEdgeName } from './schema.ts';

export class WishFile implements WishPort {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The edge that the user wants, `noEdge` for private names alone, undefined for off. A file that makes no sense is no wish. */
  read(): string | undefined {
    try {
      const { edge } = JSON.parse(readFileSync(this.#path, 'utf8')) as { edge?: unknown };
      return typeof edge === 'string' && (edge === noEdge || isEdgeName(edge)) ? edge : undefined;
    } catch {
      return undefined; // Never asked for anything.
    }
  }

  remember(edge: string | undefined): void {
    if (this.read() === edge) return;
    writeAtomic(this.#path, `${JSON.stringify(edge === undefined ? {} : { edge })}\n`);
  }
}
