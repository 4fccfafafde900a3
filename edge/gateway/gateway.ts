/**
 * What an edge offers on its own address in the tunnel: its pages and its names. The same for both backends:
 * stack-gateway.ts and interface-gateway.ts bring the connections and datagrams.
 */

import type { Duplex } from 'node:stream';
import type { Log } from '../../shared/core/base/ports.ts';
import type { Span } from '../../shared/core/base/span.ts';
import type { MonoMs, UnixMs } from '../../shared/core/base/time.ts';
import { serveDnsStream } from '../../shared/node/resolver/dns-stream.ts';
import type { Asker } from '../../shared/node/udp/reply-port.ts';
import type { DnsAnswerer } from '../dns/answerer.ts';
import type { CarriedBy } from '../transport/carried-by.ts';
import type { ExitOf } from './exit-address.ts';
import { GatewayHttp } from './http.ts';

export interface GatewayParts {
  /** Asked for each request. */
  readonly edgeName: () => string;
  /** The device that has the address in the tunnel, asked for each request. */
  readonly deviceOf: (address: string) => string | undefined;
  /** Where the flows of a device go unless a rule says otherwise; absent: directly. */
  readonly pathOf?: (device: string | undefined) => string;
  /** What carries the tunnel of the device at an address; absent: UDP. */
  readonly carriedBy?: CarriedBy;
  /** By which address a path leaves; absent: nobody knows. */
  readonly exitOf?: ExitOf;
  readonly answerer: DnsAnswerer;
  /** Largest datagram that fits the tunnel in one piece, bytes. */
  readonly maxDatagram: number;
  readonly unixNow: () => UnixMs;
  /** Absent: every answer goes the long way. */
  readonly now?: () => MonoMs;
  /** Unix socket on which the API of devices answers; absent: there is none. */
  readonly apiSocket?: string | undefined;
  readonly log: Log;
}

export const gatewayDnsPort = 53;
export const gatewayHttpPort = 80;

/** What the smallest IP and UDP headers of IPv6 take of a packet. */
export const datagramHeaders = 48;

/** What RFC 7766 lets a message on a connection have. */
const maxStreamMessage = 65_535;
/** Questions by datagram that wait for their answer; further ones get none, and are asked again. */
const maxQuestions = 4096;
/** Connections with questions at a time. */
const maxDnsStreams = 1024;
/** Askers whose device is remembered, and for how long: devices come and go. */
const maxAskers = 4096;
const askerMs = 1000;

export class Gateway {
  readonly #parts: GatewayParts;
  readonly #http: GatewayHttp;
  /** With the address of each asker. */
  readonly #dnsStreams: Map<Duplex, string> = new Map();
  #questions = 0;
  /** Devices by address, for `askerMs`. */
  readonly #askers: Map<number | string, string | undefined> = new Map();
  #askersUntil = 0;
  /** Of the round of questions that is answered now. */
  #now: MonoMs | undefined;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#http = new GatewayHttp(parts);
  }

  /** `address`: of the asker, as text. The stream is ours from here on. */
  serveHttp(stream: Duplex, address: string): void {
    this.#http.serve(stream, address);
  }

  serveDns(stream: Duplex, address: string): void {
    if (this.#dnsStreams.size >= maxDnsStreams) {
      stream.destroy();
      return;
    }
    this.#dnsStreams.set(stream, address);
    stream.once('close', () => this.#dnsStreams.delete(stream));
    const { answerer, deviceOf } = this.#parts;
    serveDnsStream(stream, (query) =>
      answerer.answer(query, { overTcp: true, device: deviceOf(address), maxBytes: maxStreamMessage }),
    );
  }

  /** Datagrams follow. */
  beginRound(): void {
    this.#now = this.#parts.now?.();
    if (this.#now === undefined || this.#now < this.#askersUntil) return;
    this.#askers.clear();
    this.#askersUntil = this.#now + askerMs;
  }

  /** As answerAtOnce of ReplyHandler (shared/node/udp/reply-port.ts). */
  answerAtOnce(question: Span, answer: Span, asker: Asker): boolean {
    const { answerer, maxDatagram } = this.#parts;
    if (this.#now === undefined || answerer.answerAtOnce === undefined) return false;
    answer.length = Math.min(answer.length, maxDatagram);
    const device = this.#deviceOf(asker);
    return answerer.answerAtOnce(question, answer, { device, now: this.#now });
  }

  #deviceOf(asker: Asker): string | undefined {
    const { key } = asker;
    const known = this.#askers.get(key);
    if (known !== undefined || this.#askers.has(key)) return known;
    const device = this.#parts.deviceOf(asker.address);
    if (this.#askers.size < maxAskers) this.#askers.set(key, device);
    return device;
  }

  /** Undefined where there is nothing to say. `query` is ours from here on. Never rejects. */
  answerDatagram(query: Uint8Array, address: string): Promise<Uint8Array | undefined> {
    if (this.#questions >= maxQuestions) return Promise.resolve(undefined);
    this.#questions++;
    // Few promises: this happens for every question that is not answered at once.
    return this.#ask(query, address).then(
      (answer) => {
        this.#questions--;
        return answer;
      },
      (cause: unknown) => {
        this.#questions--;
        this.#parts.log.debug('a question about a name was not answered', { why: String(cause) });
        return undefined;
      },
    );
  }

  #ask(query: Uint8Array, address: string): Promise<Uint8Array | undefined> {
    const { answerer, deviceOf, maxDatagram } = this.#parts;
    try {
      return answerer.answer(query, { overTcp: false, device: deviceOf(address), maxBytes: maxDatagram });
    } catch (cause) {
      return Promise.reject(new Error('The answerer failed.', { cause }));
    }
  }

  /** Ends what those askers have open. */
  cut(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    const gone = new Set(addresses);
    this.#http.cut(gone);
    for (const [stream, address] of this.#dnsStreams) if (gone.has(address)) stream.destroy();
  }

  async close(): Promise<void> {
    this.#http.close();
    for (const stream of this.#dnsStreams.keys()) stream.destroy();
    await this.#parts.answerer.close();
  }
}
