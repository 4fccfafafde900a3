// Whether the other side of a path's tunnel is there: known within seconds, asked seldom, never told of one that lives.
import { describe, expect, test } from 'vitest';
import { HopWatch } from '../../../../edge/egress/hop-watch.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

/** A tunnel whose other side answers questions and flows while it lives; looked at as its owner does. */
class World {
  readonly watch = new HopWatch();
  isAlive = true;
  /** Whether traffic is answered, too: a place behind the tunnel may be silent alone. */
  isAnswered = true;
  readonly asks: number[] = [];
  now = 0;
  #received = 5;
  #sent = 7;

  /** `sends`: moments at which something is sent. Returns when it was first seen silent. */
  run(untilMs: number, sends: (now: number) => boolean): number | undefined {
    let silentAt: number | undefined;
    for (; this.now < untilMs; this.now += 100) {
      if (sends(this.now)) {
        this.#sent++;
        if (this.isAlive && this.isAnswered) this.#received++;
      }
      const counts = { received: this.#received, sent: this.#sent };
      if (this.watch.look(counts, monoMs(this.now)) === 'ask') {
        this.asks.push(this.now);
        if (this.isAlive) this.watch.handleAnswer();
      }
      if (this.watch.isSilent) silentAt ??= this.now;
    }
    return silentAt;
  }
}

describe('the watch over a tunnel', () => {
  test('asks nobody where nothing is sent', () => {
    const world = new World();

    expect(world.run(60_000, () => false)).toBeUndefined();
    expect(world.asks).toEqual([]);
  });

  test('asks nobody where what is sent is answered', () => {
    const world = new World();

    expect(world.run(60_000, (now) => now % 300 === 0)).toBeUndefined();
    expect(world.asks).toEqual([]);
  });

  test('says within two and a half seconds of the first packet that nobody is there', () => {
    const world = new World();
    world.run(10_000, () => false);
    world.isAlive = false;

    const silentAt = world.run(20_000, (now) => now === 10_000 || now === 11_000 || now === 13_000);

    expect(silentAt).toBeGreaterThan(11_500);
    expect(silentAt).toBeLessThanOrEqual(12_500);
    expect(world.watch.trouble(monoMs(20_000))).toBe(
      'the other side of its tunnel has not answered for 10 s',
    );
  });

  test('a place that is silent behind a tunnel that lives is no trouble of the tunnel', () => {
    const world = new World();
    world.isAnswered = false;

    expect(world.run(60_000, (now) => now % 1000 === 0)).toBeUndefined();
  });

  test('traffic that goes one way only becomes a question in five seconds at most', () => {
    const world = new World();
    world.isAnswered = false;

    world.run(60_000, () => true);

    expect(world.asks.length).toBeGreaterThan(5);
    expect(world.asks.length).toBeLessThanOrEqual(12);
  });

  test('a watcher that was busy or asleep does not take its own silence for that of the other side', () => {
    const watch = new HopWatch();
    watch.look({ received: 0, sent: 0 }, monoMs(0));
    watch.look({ received: 0, sent: 1 }, monoMs(500));
    expect(watch.look({ received: 0, sent: 1 }, monoMs(1400))).toBe('ask');

    watch.look({ received: 0, sent: 1 }, monoMs(9000));

    expect(watch.isSilent).toBe(false);
    watch.look({ received: 1, sent: 1 }, monoMs(9100));
    expect(watch.isWaiting).toBe(false);
  });

  test('goes on asking a silent side every five seconds, and hears it at once', () => {
    const world = new World();
    world.isAlive = false;
    world.run(30_000, (now) => now === 100);
    expect(world.asks.length).toBeLessThanOrEqual(8);
    const before = world.now;
    world.isAlive = true;

    while (world.watch.isSilent && world.now < 60_000) world.run(world.now + 100, () => false);

    expect(world.now - before).toBeLessThanOrEqual(5100);
    expect(world.watch.trouble(monoMs(world.now))).toBeUndefined();
  });

  test('a new flow has a silent side asked sooner, and no more than once a second', () => {
    const world = new World();
    world.isAlive = false;
    world.run(9000, (now) => now === 100);
    const last = world.asks.at(-1) ?? 0;

    expect(world.watch.handleFlow(monoMs(last + 900))).toBe('nothing');
    expect(world.watch.handleFlow(monoMs(last + 1100))).toBe('ask');
    expect(world.watch.handleFlow(monoMs(last + 1200))).toBe('nothing');
  });
});
