/**
 * Sends every flow out by the path that select.ts names, tries the next one before anybody notices that the first
 * fails, and lets the measurements know how it went. Knows no device's rights: whether a flow may leave at all was
 * decided before.
 */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import { addressKey } from './address-key.ts';
import { type AttemptEnd, race, type Timing } from './dial-race.ts';
import { FlowPins } from './flow-pins.ts';
import { type EgressPath, PathError, type PathTarget } from './path.ts';
import type { PathReports } from './report.ts';
import type { KnownName } from './rules.ts';
import { type Choice, certainName, type PathSelector, type Question } from './select.ts';

/** A flow that may leave. */
export interface FlowRequest {
  /** Name of the device. */
  readonly device: string | undefined;
  /** The asker inside the tunnel. */
  readonly source: PathTarget['end'];
  readonly destination: PathTarget['end'];
  readonly name: KnownName | undefined;
  /** As in Question. */
  readonly isClosed?: boolean | undefined;
}

export interface PathChooserOptions {
  readonly paths: readonly EgressPath[];
  /** How a block path answers. */
  readonly blocks: ReadonlyMap<string, 'drop' | 'reject'>;
  readonly selector: PathSelector;
  readonly reports: PathReports;
  readonly timing: Timing;
  /** Bytes may be spent on measuring a place beside its flow. Absent: never. */
  readonly maySpend?: ((bytes: number) => boolean) | undefined;
  /** A path has just failed and nothing speaks for it: find out soon whether it works. */
  readonly onSuspect?: ((path: string) => void) | undefined;
}

/** Rejection of a flow that a rule blocks, or that no path can carry. */
export class FlowBlocked extends Error {
  readonly refusal: 'drop' | 'unreachable';
  readonly why: 'rule' | 'closed' | 'no-path';

  constructor(refusal: 'drop' | 'unreachable', why: FlowBlocked['why']) {
    super(why === 'no-path' ? 'No path can carry this flow.' : 'A rule of the edge blocks this flow.');
    this.refusal = refusal;
    this.why = why;
  }
}

type PathChoice = Extract<Choice, { kind: 'path' }>;

/** What a connection that is opened and closed again costs on the wire, both ways, with headers. */
const measureBytes = 400;
const measureMs = 3000;
const maxMeasuring = 32;
/** A flow that may take one path only waits so long, then what is known of the path decides whether it goes on. */
const doubtMs = 1000;
const namedPatienceMs = 4000;
const namedAgainMs = 500;

export class PathChooser {
  readonly pins: FlowPins = new FlowPins();
  readonly #options: PathChooserOptions;
  readonly #paths: ReadonlyMap<string, EgressPath>;
  #measuring = 0;

  constructor(options: PathChooserOptions) {
    this.#options = options;
    this.#paths = new Map(options.paths.map((path) => [path.id, path]));
  }

  /** Rejects with PathError, FlowBlocked or the signal's reason. */
  async dialTcp(request: FlowRequest, signal: AbortSignal): Promise<Duplex> {
    const { selector, timing } = this.#options;
    const question = questionOf(request, 'tcp');
    const choice = this.#chosen(selector.choose(question, timing.now()));
    const target = targetOf(request, question);
    const paths = [choice.path, ...choice.fallbacks].flatMap((id) => this.#paths.get(id) ?? []);
    const end = choice.reason.by === 'auto' ? undefined : this.#whileItLives(choice.path, signal);
    const { patienceMs } = choice;
    const dialled = race({ paths, target, signal: end?.signal ?? signal, patienceMs, timing });
    const { stream, attempts, error } = await dialled.finally(() => end?.close());
    this.#learn(choice, attempts, stream !== undefined);
    if (stream === undefined) throw error;
    const used = attempts.find((attempt) => attempt.outcome === 'connected')?.path ?? choice.path;
    const handleClosed = this.#hold(choice, used, request, countOf(stream));
    stream.once('close', () => handleClosed());
    if (choice.alsoMeasure !== undefined && used !== choice.alsoMeasure) {
      void this.#measure(choice.alsoMeasure, target, choice.keys);
    }
    return stream;
  }

  /** Rejects with PathError or FlowBlocked. */
  openUdp(request: FlowRequest): Promise<FarUdp> {
    return this.#openDatagrams(request, 'udp');
  }

  /** Rejects with PathError or FlowBlocked. */
  openEcho(request: FlowRequest): Promise<FarUdp> {
    return this.#openDatagrams(request, 'icmp');
  }

  async #openDatagrams(request: FlowRequest, protocol: 'udp' | 'icmp'): Promise<FarUdp> {
    const { selector, timing } = this.#options;
    const question = questionOf(request, protocol);
    const choice = this.#chosen(selector.choose(question, timing.now()));
    const flowKey = `${endKey(request.source)}${endKey(request.destination)}`;
    const before = choice.reason.by === 'auto' ? this.pins.recent(flowKey, timing.now()) : undefined;
    const order = [choice.path, ...choice.fallbacks];
    const isHere = before !== undefined && order.includes(before) && this.#works(before);
    const ids = isHere ? [before, ...order.filter((id) => id !== before)] : order;
    const target = targetOf(request, question);
    let failure: unknown;
    for (const id of ids) {
      const startedAt = timing.now();
      try {
        const path = this.#paths.get(id);
        const opened = await (protocol === 'udp' ? path?.openUdp(target) : path?.openEcho?.(target));
        if (opened === undefined) continue;
        const count = { bytes: 0 };
        const end = this.#hold(choice, id, request, () => count.bytes);
        return watched(opened, count, () => end(flowKey));
      } catch (error) {
        failure ??= error;
        this.#noteFailure({ path: id, keys: choice.keys, startedAt, error });
      }
    }
    throw failure instanceof Error ? failure : new FlowBlocked('unreachable', 'no-path');
  }

  /** Whether the name of the place could make another choice. */
  dependsOnName(request: FlowRequest): boolean {
    return this.#options.selector.dependsOnName(questionOf(request, 'tcp'));
  }

  /** For explaining; changes nothing that matters. */
  explain(request: FlowRequest, protocol: Question['protocol']): Choice {
    return this.#options.selector.choose(questionOf(request, protocol), this.#options.timing.now());
  }

  #chosen(choice: Choice): PathChoice {
    if (choice.kind === 'path') return choice;
    if (choice.kind === 'block') {
      const how = this.#options.blocks.get(choice.path) ?? 'drop';
      throw new FlowBlocked(how === 'drop' ? 'drop' : 'unreachable', 'rule');
    }
    const isClosed = choice.reason.by === 'nothing' && choice.reason.why === 'closed';
    throw new FlowBlocked('unreachable', isClosed ? 'closed' : 'no-path');
  }

  #works(id: string): boolean {
    const health = this.#options.reports.health(id, this.#options.timing.now());
    return health !== 'down' && this.#paths.get(id)?.trouble() === undefined;
  }

  /** Whoever failed where another path succeeded is to blame; where all failed, the destination is. */
  #learn(choice: PathChoice, attempts: readonly AttemptEnd[], isConnected: boolean): void {
    const { reports } = this.#options;
    for (const { path, startedAt, endedAt, outcome, error } of attempts) {
      if (outcome === 'connected') reports.noteConnect(path, choice.keys, endedAt - startedAt, endedAt);
      else if (outcome === 'failed' && isPathFault(error)) {
        this.#noteFailure({ path, keys: choice.keys, startedAt, error });
      } else if (outcome === 'failed' && isRefused(error) && !isConnected) {
        reports.noteAnswered(path, endedAt);
      } else if (isConnected) this.#noteFailure({ path, keys: choice.keys, startedAt, error });
    }
  }

  #noteFailure(failed: {
    readonly path: string;
    readonly keys: readonly string[];
    readonly startedAt: MonoMs;
    readonly error: unknown;
  }): void {
    const { path, keys, startedAt, error } = failed;
    const now = this.#options.timing.now();
    this.pins.load(path).failed++;
    this.#options.reports.noteFailure({ path, keys, startedAt, isCertain: isPathFault(error) }, now);
    if (this.#options.reports.health(path, now) === 'suspect') this.#options.onSuspect?.(path);
  }

  /** The flow is open. Call what comes back once, when it has ended. */
  #hold(
    choice: PathChoice,
    used: string,
    request: FlowRequest,
    bytes: (() => number) | undefined,
  ): (flowKey?: string) => void {
    const { selector, timing } = this.#options;
    const openedAt = timing.now();
    const pin = { path: used, device: request.device, openedAt, ...(bytes === undefined ? {} : { bytes }) };
    const handleEnded = selector.handleOpened(choice, used, openedAt);
    this.pins.open(pin);
    return (flowKey) => {
      this.pins.end(pin, timing.now(), flowKey);
      handleEnded(timing.now());
    };
  }

  /** Ends a dial early where no other path may be tried, and this one is seen not to answer, though others do. */
  #whileItLives(id: string, signal: AbortSignal): { readonly signal: AbortSignal; close(): void } {
    const { timing, onSuspect } = this.#options;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const look = (): void => {
      if (this.#isAloneSilent(id)) stop.abort(pathSilent);
      else cancel = timing.after(namedAgainMs, look);
    };
    let cancel = timing.after(doubtMs, () => {
      onSuspect?.(id);
      cancel = timing.after(namedPatienceMs - doubtMs, look);
    });
    const close = (): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    };
    return { signal: stop.signal, close };
  }

  /** Where all are silent it is the targets of probes that are gone. */
  #isAloneSilent(id: string): boolean {
    const { timing, reports, paths } = this.#options;
    const healthOf = (one: string): string => reports.health(one, timing.now());
    const isSilent = healthOf(id) === 'suspect' || healthOf(id) === 'down';
    return isSilent && paths.some((other) => other.id !== id && healthOf(other.id) === 'good');
  }

  /** Beside a flow that works already: how long would the other path have taken? Sends nothing. */
  async #measure(id: string, target: PathTarget, keys: readonly string[]): Promise<void> {
    const { timing, reports, maySpend } = this.#options;
    const path = this.#paths.get(id);
    if (path === undefined || this.#measuring >= maxMeasuring || maySpend?.(measureBytes) !== true) return;
    this.#measuring++;
    const stop = new AbortController();
    const cancel = timing.after(measureMs, () => stop.abort(tooSlow));
    const startedAt = timing.now();
    try {
      const stream = await path.dialTcp(target, stop.signal);
      reports.noteConnect(id, keys, timing.now() - startedAt, timing.now());
      stream.on('error', () => undefined);
      stream.destroy();
    } catch (error) {
      const isCertain = isPathFault(error);
      reports.noteFailure({ path: id, keys, startedAt, isCertain }, timing.now());
    } finally {
      cancel();
      this.#measuring--;
    }
  }
}

/** Sockets of the system count by themselves; of others the path does. */
function countOf(stream: Duplex): (() => number) | undefined {
  return stream instanceof Socket ? () => stream.bytesRead + stream.bytesWritten : undefined;
}

/** Tells once when the flow ends, by itself or by its owner, and counts both directions. */
function watched(opened: FarUdp, count: { bytes: number }, handleEnded: () => void): FarUdp {
  let isOver = false;
  let onClose: () => void = () => undefined;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    handleEnded();
  };
  opened.onClose(() => {
    end();
    onClose();
  });
  return {
    send: (bytes) => {
      count.bytes += bytes.length;
      opened.send(bytes);
    },
    onMessage: (listener) =>
      opened.onMessage((bytes) => {
        count.bytes += bytes.length;
        listener(bytes);
      }),
    onClose: (listener) => {
      onClose = listener;
      if (isOver) listener();
    },
    close: () => {
      opened.close();
      end();
    },
  };
}

const pathSilent = new PathError('path', 'timeout', 'The path that must be taken does not answer now.');
const tooSlow = new PathError('destination', 'timeout', 'The destination does not answer.');

function questionOf(request: FlowRequest, protocol: Question['protocol']): Question {
  const { device, destination, name, isClosed } = request;
  const { address, port } = destination;
  return { protocol, device, tags: [], address, port, name, isClosed };
}

function targetOf(request: FlowRequest, question: Question): PathTarget {
  return { end: request.destination, name: certainName(question) };
}

function endKey(end: PathTarget['end']): string {
  return `${addressKey(end.address)}:${end.port}|`;
}

function isPathFault(error: unknown): boolean {
  return error instanceof PathError && error.of === 'path';
}

function isRefused(error: unknown): boolean {
  return error instanceof PathError && error.of === 'destination' && error.kind === 'refused';
}
