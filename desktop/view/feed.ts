// Where snapshots come from: the bridge's own, and once a second a fresh one while somebody looks. While the page is
// hidden nothing ticks. Keeps the one bit of local state: after a click the expected state shows at once, for 3 s at most.
import type { TextKey } from '../../shared/core/control/texts.ts';
import type { Bridge, Snapshot } from '../bridge/ipc.ts';
import { type History, noRates, type Rates, withPaths, withTraffic } from './samples.ts';

/** What the feed needs of a page; tests bring their own. */
export interface Page {
  isHidden(): boolean;
  /** Calls back when it is hidden or shown. Returns what ends that. */
  onVisibility(changed: () => void): () => void;
  /** Milliseconds that never go back. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls back again and again. Returns what ends that. */
  every(ms: number, tick: () => void): () => void;
}

export interface View {
  readonly snapshot: Snapshot | undefined;
  readonly rates: Rates;
  readonly history: History;
  /** Milliseconds since 1970, of the last change or tick. */
  readonly wall: number;
  /** Main was asked and did not answer; what it said before does not count any more. */
  readonly isLost: boolean;
  /** The state that a click asked for, until the daemon says its own. */
  readonly expected: Expected | undefined;
}

export interface Expected {
  readonly key: 'connecting' | 'disconnecting';
  readonly from: TextKey;
  readonly untilMs: number;
}

const tickMs = 1_000;
const expectMs = 3_000;
/** An answer that takes longer is none: what was true before it may be true no more. */
const silenceMs = 5_000;

export class Feed {
  readonly #bridge: Bridge;
  readonly #page: Page;
  readonly #listener: (view: View) => void;
  #view: View;
  #isWatchingPaths = false;
  /** When the question was asked that is not answered yet. */
  #askedAtMs: number | undefined;
  #isAskingPaths = false;
  #stopTicking: (() => void) | undefined;
  #stops: (() => void)[] = [];

  constructor(bridge: Bridge, page: Page, listener: (view: View) => void) {
    this.#bridge = bridge;
    this.#page = page;
    this.#listener = listener;
    this.#view = firstView(page.wall());
  }

  start(): void {
    this.#stops = [
      this.#bridge.subscribe((snapshot) => this.#take(snapshot)),
      this.#page.onVisibility(() => this.#tickWhileSeen()),
    ];
    this.#tickWhileSeen();
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#stopTicking?.();
    this.#stopTicking = undefined;
  }

  /** Ways out are asked for only while their screen is open and lives. */
  watchPaths(on: boolean): void {
    this.#isWatchingPaths = on;
    if (on) void this.#askPaths();
  }

  expect(key: Expected['key']): void {
    const { snapshot } = this.#view;
    if (snapshot?.daemon !== 'answers') return;
    this.#show({ expected: { key, from: snapshot.key, untilMs: this.#page.now() + expectMs } });
  }

  /** The click failed: what is true shows again. */
  forget(): void {
    this.#show({ expected: undefined });
  }

  #tickWhileSeen(): void {
    this.#stopTicking?.();
    this.#stopTicking = undefined;
    if (this.#page.isHidden()) return;
    this.#stopTicking = this.#page.every(tickMs, () => void this.#ask());
    void this.#ask();
  }

  /** One question at a time: a slow answer is waited for, not doubled. */
  async #ask(): Promise<void> {
    if (this.#askedAtMs !== undefined) {
      if (this.#page.now() - this.#askedAtMs >= silenceMs) this.#lose();
      return;
    }
    this.#askedAtMs = this.#page.now();
    if (this.#isWatchingPaths) void this.#askPaths();
    try {
      this.#take(await this.#bridge.get());
    } catch {
      this.#lose(); // Main is gone or refuses: nothing older than that may stand.
    } finally {
      this.#askedAtMs = undefined;
    }
  }

  #lose(): void {
    this.#show({ snapshot: undefined, isLost: true });
  }

  async #askPaths(): Promise<void> {
    if (this.#isAskingPaths) return;
    this.#isAskingPaths = true;
    const outcome = await this.#bridge.send('paths', {});
    this.#isAskingPaths = false;
    if (outcome.ok) this.#show({ history: withPaths(this.#view.history, outcome.result) });
  }

  #take(snapshot: Snapshot): void {
    const isSameTunnel = snapshot.daemon === 'answers';
    const rates = isSameTunnel
      ? withTraffic(this.#view.rates, snapshot.status.traffic, this.#page.now())
      : noRates;
    this.#show({ snapshot, rates, isLost: false });
  }

  #show(change: Partial<View>): void {
    const next = { ...this.#view, ...change, wall: this.#page.wall() };
    this.#view = { ...next, expected: stillExpected(next, this.#page.now()) };
    this.#listener(this.#view);
  }
}

export function firstView(wall: number): View {
  return {
    snapshot: undefined,
    rates: noRates,
    history: new Map(),
    wall,
    isLost: false,
    expected: undefined,
  };
}

function stillExpected({ snapshot, expected }: View, now: number): Expected | undefined {
  if (expected === undefined || snapshot?.daemon !== 'answers') return undefined;
  return snapshot.key === expected.from && now < expected.untilMs ? expected : undefined;
}
