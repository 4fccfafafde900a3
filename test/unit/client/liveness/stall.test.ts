// A send that nobody answers shows within three seconds; silence, slowness and loss do not.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type StallVerdict, StallWatch } from '../../../../client/liveness/stall.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';
import { seededRandom } from '../../../support/seeded.ts';

const packet = 96;
const keepalive = 32;

/** A tunnel with a round trip time, told tick by tick as the watch asks for them. */
class World {
  now = 0;
  tx = 0;
  rx = 0;
  probes = 0;
  ticks = 0;
  stalledAt: number | undefined;
  /** Answers on their way: when, how many bytes. */
  readonly #answers: [number, number][] = [];
  readonly watch: StallWatch;
  #nextAt = 0;
  rttMs = 40;
  loss = 0;
  isDead = false;
  answersProbes = true;
  readonly #random: () => number;

  constructor(options: { answersProbes?: boolean; announced?: boolean; seed?: number } = {}) {
    this.answersProbes = options.answersProbes ?? true;
    const { answersProbes } = this;
    const announced = options.announced ?? false;
    this.watch = new StallWatch({ answersProbes, announced, peers: 1, probeBytes: packet }, monoMs(0));
    this.#random = seededRandom(options.seed ?? 1);
  }

  send(bytes = packet, isAnswered = true): void {
    this.tx += bytes;
    if (this.isDead || !isAnswered || this.#random() < this.loss) return;
    this.#answers.push([this.now + this.rttMs, packet]);
  }

  /** Time passes up to `until`; `at`: sends on the way, in order. */
  run(until: number, sends: readonly number[] = [], isAnswered = true): void {
    const queue = [...sends];
    for (;;) {
      const next = Math.min(queue[0] ?? Infinity, this.#nextAt, ...this.#answers.map(([at]) => at));
      if (next > until) break;
      this.now = next;
      while (queue[0] !== undefined && queue[0] <= next) {
        queue.shift();
        this.send(packet, isAnswered);
      }
      this.#deliver();
      if (this.#nextAt <= next) this.tick();
    }
    this.now = until;
  }

  tick(): StallVerdict {
    this.ticks++;
    this.#deliver();
    const counters = { txBytes: this.tx, rxBytes: this.rx, lastHandshakeMs: 0 };
    const said = this.watch.tick(counters, monoMs(this.now));
    if (said.nextAt <= this.now) throw new Error('the next tick is not later');
    this.#nextAt = said.nextAt;
    if (said.verdict === 'stalled') this.stalledAt ??= this.now;
    else this.stalledAt = undefined;
    if (said.probe) {
      this.probes++;
      this.send(packet, this.answersProbes);
    }
    return said;
  }

  #deliver(): void {
    for (let i = this.#answers.length - 1; i >= 0; i--) {
      if (this.#answers[i]![0] > this.now) continue;
      if (!this.isDead) this.rx += this.#answers[i]![1];
      this.#answers.splice(i, 1);
    }
  }
}

describe('a tunnel is fine', () => {
  test('while nobody sends, for hours, and costs one probe in two minutes and no more than one tick a second', () => {
    const world = new World();

    world.run(3_600_000);

    expect(world.stalledAt).toBeUndefined();
    expect(world.probes).toBeGreaterThan(25);
    expect(world.probes).toBeLessThanOrEqual(30);
    expect(world.ticks).toBeLessThanOrEqual(3700);
  });

  test('while traffic flows, without a single probe', () => {
    const world = new World();

    world.run(
      60_000,
      Array.from({ length: 1200 }, (_, i) => i * 50),
    );

    expect(world.stalledAt).toBeUndefined();
    expect(world.probes).toBeLessThanOrEqual(1);
  });

  test('while programs send to hosts that are dead, since the probe is answered', () => {
    const world = new World();

    world.run(
      60_000,
      Array.from({ length: 60 }, (_, i) => i * 1000),
      false,
    );

    expect(world.stalledAt).toBeUndefined();
    expect(world.probes).toBeGreaterThan(0);
  });

  test('after a keepalive, which wants no answer', () => {
    const world = new World();
    world.isDead = true;

    for (let i = 1; i <= 4; i++) {
      world.tx += keepalive;
      world.run(i * 25_000);
    }

    expect(world.probes).toBe(0);
  });

  test('with round trips of a second and a half', () => {
    const world = new World();
    world.rttMs = 1500;

    world.run(
      120_000,
      Array.from({ length: 40 }, (_, i) => i * 2900),
    );

    expect(world.stalledAt).toBeUndefined();
  });

  test('to a stock server that answers nothing but by keepalives after ten seconds', () => {
    const world = new World({ answersProbes: false });
    world.rttMs = 10_000;

    world.run(
      300_000,
      Array.from({ length: 20 }, (_, i) => i * 14_000),
    );

    expect(world.stalledAt).toBeUndefined();
  });

  test('where the program itself was stopped while it waited, which is no fault of the network', () => {
    const world = new World();
    world.run(5000);
    world.isDead = true;
    world.watch.handleDoubt();
    world.tick();
    world.now += 60_000;
    world.isDead = false;

    expect(world.tick()).toMatchObject({ verdict: 'fine', probe: true });
    world.run(world.now + 1000);
    expect(world.stalledAt).toBeUndefined();
  });
});

describe('a tunnel is stalled', () => {
  test('three seconds after a send that nobody answered, wherever it falls between two ticks', () => {
    for (let offset = 0; offset < 1000; offset += 37) {
      const world = new World();
      world.run(10_000);
      world.isDead = true;

      world.run(20_000, [10_000 + offset]);

      expect(world.stalledAt! - (10_000 + offset)).toBeLessThanOrEqual(3000);
      expect(world.stalledAt! - (10_000 + offset)).toBeGreaterThanOrEqual(1900);
    }
  });

  test('likewise when the last packets of a busy tunnel are lost', () => {
    for (let death = 0; death < 1000; death += 61) {
      const world = new World();
      const sends = Array.from({ length: 400 }, (_, i) => i * 50);
      world.run(
        10_000 + death,
        sends.filter((at) => at <= 10_000 + death),
      );
      world.isDead = true;
      const lastSend = 10_000 + death + 30;

      world.run(20_000, [lastSend]);

      expect(world.stalledAt! - lastSend).toBeLessThanOrEqual(3300);
    }
  });

  test('until something is heard, asking ever more rarely', () => {
    const world = new World();
    world.run(2000);
    world.isDead = true;
    world.run(62_000, [2100]);
    const probes = world.probes;

    expect(world.watch.verdict).toBe('stalled');
    expect(probes).toBeLessThan(20);
    world.isDead = false;
    world.run(72_000);
    expect(world.watch.verdict).toBe('fine');
  });

  test('two seconds after the device announced it, and is looked at once a minute otherwise', () => {
    const world = new World({ announced: true });
    world.run(600_000);
    expect(world.ticks).toBeLessThanOrEqual(18);
    world.isDead = true;
    world.send();
    world.now += 1000;

    world.watch.handleDoubt();
    world.tick();
    world.run(604_000);

    expect(world.stalledAt).toBe(603_000);
  });

  test('two seconds after waking up in a network that does not carry it', () => {
    const world = new World();
    world.run(5000);
    world.isDead = true;

    world.watch.handleDoubt();
    world.tick();
    world.run(7100);

    expect(world.stalledAt! - 5000).toBeLessThanOrEqual(2000);
  });

  test('after twelve seconds with a stock server that never answered a probe, after three once it did', () => {
    const stock = new World({ answersProbes: false });
    stock.run(1000);
    stock.isDead = true;
    stock.run(30_000, [1500]);
    expect(stock.stalledAt! - 1500).toBeGreaterThan(11_000);

    const learned = new World({ answersProbes: false });
    learned.answersProbes = true;
    learned.run(10_000, [1500], false);
    learned.isDead = true;
    learned.run(30_000, [15_000]);
    expect(learned.stalledAt! - 15_000).toBeLessThanOrEqual(3000);
  });

  test('also where ticks always come late', () => {
    const world = new World();
    world.run(1000);
    world.isDead = true;
    world.tx += packet;
    for (let i = 0; i < 10; i++) {
      world.now += 5000;
      world.tick();
    }

    expect(world.watch.verdict).toBe('stalled');
  });

  test('not any more after a new tunnel counts from zero', () => {
    const world = new World();
    world.run(1000);
    world.isDead = true;
    world.run(10_000, [1100]);
    world.watch.restart(monoMs(10_000));
    world.tx = 0;
    world.rx = 0;

    expect(world.tick().verdict).toBe('fine');
  });
});

describe('whatever is sent when', () => {
  const schedule = fc
    .array(fc.integer({ min: 1, max: 8000 }), { minLength: 1, maxLength: 30 })
    .map((gaps) => {
      let at = 0;
      return gaps.map((gap) => (at += gap));
    });

  test('a living tunnel never looks stalled', () => {
    fc.assert(
      fc.property(schedule, fc.integer({ min: 1, max: 1700 }), fc.boolean(), (sends, rttMs, isAnswered) => {
        const world = new World();
        world.rttMs = rttMs;
        let worst: MonoMs | undefined;
        for (const until of [...sends, (sends.at(-1) ?? 0) + 6000]) {
          world.run(until, [until], isAnswered);
          if (world.stalledAt !== undefined) worst = monoMs(world.stalledAt);
        }
        expect(worst).toBeUndefined();
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('a dead tunnel is known within three seconds and a quarter of the first send', () => {
    fc.assert(
      fc.property(schedule, fc.integer({ min: 1, max: 20_000 }), (sends, death) => {
        const world = new World();
        world.run(
          death,
          sends.filter((at) => at <= death),
        );
        world.isDead = true;
        const send = death + 50;
        world.run(send + 3300, [send]);
        expect(world.watch.verdict).toBe('stalled');
      }),
      { seed: 11, numRuns: 300 },
    );
  });

  test('a tunnel that loses a fifth of all packets each way looks stalled in few of many runs', () => {
    let wrong = 0;
    for (let seed = 0; seed < 200; seed++) {
      const world = new World({ seed });
      world.loss = 0.36;
      world.run(
        20_000,
        Array.from({ length: 10 }, (_, i) => i * 2000),
      );
      if (world.stalledAt !== undefined) wrong++;
    }
    expect(wrong).toBeLessThanOrEqual(8);
  });
});
