// What a daemon says of itself while a test goes on, with the time of the test.
import { request } from 'node:http';
import { vi } from 'vitest';
import type { Status } from '../../../shared/core/control/status.ts';

export interface Change {
  readonly at: number;
  readonly status: Status;
}

/** What the daemon says, with the time of the test. */
export class Story {
  readonly changes: Change[] = [];
  readonly #end: () => void;

  constructor(socketPath: string) {
    let text = '';
    const asked = request({ socketPath, path: '/v1/events' }, (response) => {
      response.setEncoding('utf8');
      response.on('error', () => undefined);
      response.on('data', (chunk: string) => {
        text += chunk;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        for (const event of events) {
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (data !== undefined)
            this.changes.push({ at: performance.now(), status: JSON.parse(data) as Status });
        }
      });
    });
    asked.on('error', () => undefined);
    asked.end();
    this.#end = () => void asked.destroy();
  }

  get states(): readonly string[] {
    const all = this.changes.map(({ status }) => status.state);
    return all.filter((state, i) => state !== all[i - 1]);
  }

  get last(): Status | undefined {
    return this.changes.at(-1)?.status;
  }

  /** Milliseconds from `from` until the first such status after it. */
  async until(from: number, fits: (status: Status) => boolean, timeoutMs: number): Promise<number> {
    let found: Change | undefined;
    await vi.waitFor(
      () => {
        found = this.changes.find(({ at, status }) => at >= from && fits(status));
        if (found === undefined) throw new Error(`after ${this.states.join(' → ')}: not yet`);
      },
      { timeout: timeoutMs, interval: 10 },
    );
    return (found?.at ?? Number.POSITIVE_INFINITY) - from;
  }

  close(): void {
    this.#end();
  }
}
