/**
 * `GET /v1/events`: server-sent events with a whole Status, first at once, then after every change;
 * counters at most once a second. A reader that does not read is cut off.
 */

import type { ServerResponse } from 'node:http';
import type { Status } from '../../core/control/status.ts';

const maxReaders = 64;
/** How often counters are looked at while somebody listens. */
const refreshMs = 1_000;
/** A comment keeps the line open and finds readers that are gone. */
const keepAliveMs = 15_000;
const maxUnreadBytes = 256 * 1024;

export interface StatusSource {
  status(): Promise<Status>;
  /** Calls `listener` when something but counters changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

/** Returns the function that turns an answer into a stream of statuses. */
export function streamStatus(source: StatusSource): (response: ServerResponse) => void {
  const readers = new Set<ServerResponse>();
  let stop: (() => void) | undefined;
  let last = '';
  let isLooking = false;

  const look = async (): Promise<void> => {
    if (isLooking) return;
    isLooking = true;
    try {
      const text = JSON.stringify(await source.status());
      if (text === last) return;
      last = text;
      for (const reader of readers) send(reader, text);
    } catch {
      // No status at this moment (the tunnel is ending): the next look has one.
    } finally {
      isLooking = false;
    }
  };

  const start = (): (() => void) => {
    const refresh = setInterval(() => void look(), refreshMs);
    const keepAlive = setInterval(() => {
      for (const reader of readers) reader.write(': here\n\n');
    }, keepAliveMs);
    const end = source.onChange(() => void look());
    return () => {
      clearInterval(refresh);
      clearInterval(keepAlive);
      end();
    };
  };

  return (response) => {
    if (readers.size >= maxReaders) {
      response.writeHead(503).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    readers.add(response);
    stop ??= start();
    response.on('close', () => {
      readers.delete(response);
      if (readers.size > 0) return;
      stop?.();
      stop = undefined;
      last = '';
    });
    void source.status().then(
      (status) => send(response, JSON.stringify(status)),
      () => response.destroy(),
    );
  };
}

function send(response: ServerResponse, text: string): void {
  if (response.writableLength > maxUnreadBytes) response.destroy();
  else response.write(`event: status\ndata: ${text}\n\n`);
}
