import { expect, test } from 'vitest';
import type { TunnelEvent } from '../../../../../shared/core/tunnel/events.ts';
import type { FromWorker } from '../../../../../shared/node/dataplane/messages.ts';
import { Outbox } from '../../../../../shared/node/dataplane/outbox.ts';

const event = (byte: number): TunnelEvent => ({ kind: 'confirmed', publicKey: new Uint8Array([byte]) });

test('keeps events back until it is told to send, in order', () => {
  const sent: FromWorker[] = [];
  const outbox = new Outbox((message) => sent.push(message));
  outbox.add(event(1));
  outbox.add(event(2));
  expect(sent).toEqual([]);
  expect(outbox.waiting).toBe(true);
  outbox.send();
  expect(sent).toEqual([
    { kind: 'event', event: event(1) },
    { kind: 'event', event: event(2) },
  ]);
  expect(outbox.waiting).toBe(false);
});

test('sends at once what would grow without bound', () => {
  let sent = 0;
  const outbox = new Outbox(() => sent++);
  for (let i = 0; i < 10_000; i++) outbox.add(event(1));
  expect(sent).toBeGreaterThan(9000);
});
