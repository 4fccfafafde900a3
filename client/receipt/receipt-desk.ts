/**
 * Keeps the receipt of the connection that is up: measured once a while after each connect, and seldom again, since it
 * costs a megabyte. Of an edge that was imported nothing is measured: it has nobody who answers.
 */

import { type MonoMs, minuteMs, secondMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { ChosenPath, Receipt } from '../../shared/core/control/path-status.ts';
import { type Measured, type MeasurePorts, measureReceipt } from './measure.ts';
import { notMeasured, receiptText } from './receipt-text.ts';

export interface ReceiptDeskParts {
  readonly connectedTo: () => string | undefined;
  /** Undefined where the edge is not one of ours. */
  readonly portsFor: (edge: string) => Omit<MeasurePorts, 'now'> | undefined;
  /** How long the last handshake took; undefined where that is not known. */
  readonly handshakeMs: () => Promise<number | undefined>;
  readonly pathNow: () => ChosenPath | undefined;
  readonly now: () => MonoMs;
  readonly unixNow: () => UnixMs;
  /** Default: setTimeout. Returns what takes it back. */
  readonly after?: (ms: number, run: () => void) => () => void;
  readonly measure?: (ports: MeasurePorts) => Promise<Measured>;
}

/** After a connect, so that it is in nobody's way. */
const restMs = 3 * secondMs;
/** An edge is not measured more often, however often it is connected to. */
const seldomMs = 10 * minuteMs;
const maxKept = 16;

interface Kept {
  readonly at: MonoMs;
  readonly receipt: Receipt;
}

export class ReceiptDesk {
  readonly #parts: ReceiptDeskParts;
  readonly #kept: Map<string, Kept> = new Map();
  #connected: string | undefined;
  #takeBack: () => void = () => undefined;

  constructor(parts: ReceiptDeskParts) {
    this.#parts = parts;
  }

  /** Undefined while nothing is connected. */
  get view(): Receipt | undefined {
    const edge = this.#parts.connectedTo();
    return edge === undefined ? undefined : (this.#kept.get(edge)?.receipt ?? unmeasured('yet'));
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const { connectedTo, after = timer, now } = this.#parts;
    const edge = connectedTo();
    if (edge === this.#connected) return;
    this.#connected = edge;
    this.#takeBack();
    if (edge === undefined) return;
    const kept = this.#kept.get(edge);
    const isOld = kept === undefined || now() - kept.at >= seldomMs;
    if (isOld) this.#takeBack = after(restMs, () => void this.#measure(edge));
  }

  close(): void {
    this.#takeBack();
  }

  async #measure(edge: string): Promise<void> {
    const { portsFor, now, measure = measureReceipt } = this.#parts;
    const ports = portsFor(edge);
    if (ports === undefined) {
      this.#keep(edge, unmeasured('stock'));
      return;
    }
    try {
      const measured = await measure({ ...ports, now });
      if (this.#connected === edge) this.#keep(edge, await this.#receiptOf(measured));
    } catch {
      if (this.#connected === edge) this.#keep(edge, unmeasured('failed'));
    }
  }

  async #receiptOf(measured: Measured): Promise<Receipt> {
    const { handshakeMs: ask, pathNow, unixNow } = this.#parts;
    const handshakeMs = await ask().catch(() => undefined);
    const path = pathNow();
    const facts = {
      at: new Date(unixNow()).toISOString(),
      ...measured,
      ...(measured.direct === undefined && handshakeMs === undefined
        ? {}
        : { direct: { ...measured.direct, ...(handshakeMs === undefined ? {} : { handshakeMs }) } }),
      ...(path === undefined
        ? {}
        : { path: { id: path.id, ...(path.rttMs === undefined ? {} : { rttMs: path.rttMs }) } }),
    };
    return { measured: true, text: receiptText(facts), ...facts };
  }

  #keep(edge: string, receipt: Receipt): void {
    this.#kept.delete(edge);
    this.#kept.set(edge, { at: this.#parts.now(), receipt });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size > maxKept) this.#kept.delete(oldest);
    }
  }
}

function unmeasured(why: keyof typeof notMeasured): Receipt {
  return { measured: false, text: notMeasured[why] };
}

function timer(ms: number, run: () => void): () => void {
  const handle = setTimeout(run, ms);
  handle.unref();
  return () => clearTimeout(handle);
}
