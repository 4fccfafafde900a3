/**
 * Tells devices at once what they would else ask for now and again: server-sent events on `GET /v1/config/events`.
 * `config-changed` first with the revision that holds now, and again with each new one; `edge-stopping` before
 * the edge ends. A device has few of these streams, and all devices together a bounded number.
 */

import type { ServerResponse } from 'node:http';
import type { ConfigEvent } from '../../shared/core/registration/config-events.ts';

export interface ConfigEventsParts {
  /** The revision that the device should have; undefined: it may not be here any more. */
  readonly revisionOf: (deviceId: string) => Promise<string | undefined>;
  /** Returns what ends it. */
  readonly every: (periodMs: number, run: () => void) => () => void;
}

interface Stream {
  readonly device: string;
  readonly response: ServerResponse;
  revision: string;
}

/** Of one device; the oldest ends for a new one. */
const maxStreamsOfDevice = 2;
const maxStreams = 4096;
/** Mappings on the way stay open, and an end that is gone is noticed. */
const beatEveryMs = 50_000;
/** What may wait for a device that does not read. */
const maxWaitingBytes = 16 * 1024;

export class ConfigEvents {
  readonly #parts: ConfigEventsParts;
  readonly #streams = new Set<Stream>();
  readonly #endBeat: () => void;
  #isStopping = false;

  constructor(parts: ConfigEventsParts) {
    this.#parts = parts;
    this.#endBeat = parts.every(beatEveryMs, () => this.#beat());
  }

  get size(): number {
    return this.#streams.size;
  }

  /** False where there is no room. The response is ours from here on. */
  serve(device: string, revision: string, response: ServerResponse): boolean {
    if (this.#isStopping || this.#streams.size >= maxStreams) return false;
    const own = [...this.#streams].filter((stream) => stream.device === device);
    for (const stream of own.slice(0, Math.max(0, own.length - maxStreamsOfDevice + 1))) this.#end(stream);
    const stream: Stream = { device, response, revision };
    this.#streams.add(stream);
    response.on('close', () => this.#streams.delete(stream));
    response.on('error', () => this.#streams.delete(stream));
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#send(stream, { kind: 'config-changed', revision });
    return true;
  }

  /** After devices or the configuration changed. Never rejects. */
  async check(): Promise<void> {
    for (const stream of this.#streams) {
      try {
        const revision = await this.#parts.revisionOf(stream.device);
        if (revision === undefined) this.#end(stream);
        else if (revision !== stream.revision) {
          stream.revision = revision;
          this.#send(stream, { kind: 'config-changed', revision });
        }
      } catch {
        // The store cannot be read now; the device asks by itself later.
      }
    }
  }

  /** Tells the device that came last; undefined where none follows. Returns its id. */
  tellOne(event: ConfigEvent): string | undefined {
    const stream = [...this.#streams].at(-1);
    if (stream !== undefined) this.#send(stream, event);
    return stream?.device;
  }

  /** Tells everybody and ends the streams. True where anybody was told. */
  stop(): boolean {
    this.#isStopping = true;
    this.#endBeat();
    const isAny = this.#streams.size > 0;
    for (const stream of this.#streams) {
      this.#send(stream, { kind: 'edge-stopping' });
      this.#end(stream);
    }
    return isAny;
  }

  #beat(): void {
    for (const stream of this.#streams) this.#write(stream, ':\n\n');
  }

  #send(stream: Stream, event: ConfigEvent): void {
    this.#write(stream, `data: ${JSON.stringify(event)}\n\n`);
  }

  #write(stream: Stream, text: string): void {
    stream.response.write(text);
    if (stream.response.writableLength <= maxWaitingBytes) return;
    this.#streams.delete(stream);
    stream.response.destroy();
  }

  #end(stream: Stream): void {
    this.#streams.delete(stream);
    stream.response.end();
  }
}
