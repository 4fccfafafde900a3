/** The path of type block: leads nowhere. select.ts answers for it; nothing is ever dialled. */

import { type EgressPath, PathError } from './path.ts';

export class BlockPath implements EgressPath {
  readonly type = 'block';
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  carries(): boolean {
    return false;
  }

  trouble(): string | undefined {
    return undefined;
  }

  dialTcp(): Promise<never> {
    return Promise.reject(blocked());
  }

  openUdp(): Promise<never> {
    return Promise.reject(blocked());
  }

  close(): void {
    // Nothing of its own.
  }
}

function blocked(): PathError {
  return new PathError('path', 'unreachable', 'This path leads nowhere.');
}
