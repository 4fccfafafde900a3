/** What devices are told without asking: bounds, changes, and the end. */

import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { ConfigEvents } from '../../../../edge/registration/config-events.ts';

let revisions: Map<string, string>;
let beat: () => void;
let events: ConfigEvents;

class FakeResponse extends EventEmitter {
  readonly texts: string[] = [];
  writableLength = 0;
  isOver = false;
  writeHead(): this {
    return this;
  }
  write(text: string): boolean {
    this.texts.push(text);
    return true;
  }
  end(): this {
    this.isOver = true;
    this.emit('close');
    return this;
  }
  destroy(): this {
    return this.end();
  }
}

beforeEach(() => {
  revisions = new Map([
    ['a', 'one'],
    ['b', 'one'],
  ]);
  events = new ConfigEvents({
    revisionOf: (device) => Promise.resolve(revisions.get(device)),
    every: (_ms, run) => {
      beat = run;
      return () => undefined;
    },
  });
});

function open(device: string): FakeResponse {
  const response = new FakeResponse();
  expect(events.serve(device, 'one', response as unknown as ServerResponse)).toBe(true);
  return response;
}

const changed = (revision: string): string =>
  `data: ${JSON.stringify({ kind: 'config-changed', revision })}\n\n`;

describe('the stream of a device', () => {
  test('says what holds now, then only what is new', async () => {
    const [a, b] = [open('a'), open('b')];
    await events.check();
    revisions.set('a', 'two');

    await events.check();
    await events.check();
    beat();

    expect(a.texts).toEqual([changed('one'), changed('two'), ':\n\n']);
    expect(b.texts).toEqual([changed('one'), ':\n\n']);
  });

  test('ends for a device that is gone, and for the oldest of too many', async () => {
    const streams = [open('a'), open('a'), open('a')];
    expect(streams.map(({ isOver }) => isOver)).toEqual([true, false, false]);
    const other = open('b');
    revisions.delete('a');

    await events.check();

    expect(streams.every(({ isOver }) => isOver)).toBe(true);
    expect([other.isOver, events.size]).toEqual([false, 1]);
  });

  test('ends where nobody reads', () => {
    const a = open('a');
    a.writableLength = 20_000;

    beat();

    expect([a.isOver, events.size]).toEqual([true, 0]);
  });

  test('says that the edge ends, and takes nobody afterwards', () => {
    const a = open('a');

    expect(events.stop()).toBe(true);

    expect(a.texts.at(-1)).toBe('data: {"kind":"edge-stopping"}\n\n');
    expect(a.isOver).toBe(true);
    expect(events.serve('b', 'one', new FakeResponse() as unknown as ServerResponse)).toBe(false);
    expect(events.stop()).toBe(false);
  });

  test('outlives a store that cannot be read', async () => {
    const a = open('a');
    const broken = new ConfigEvents({
      revisionOf: () => Promise.reject(new Error('disk')),
      every: () => () => undefined,
    });
    const b = new FakeResponse();
    broken.serve('b', 'one', b as unknown as ServerResponse);

    await broken.check();

    expect([a.isOver, b.isOver]).toEqual([false, false]);
  });
});
