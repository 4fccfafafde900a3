// The edge asks one device to try its ports from outside: who may answer, how long it waits, and what that means.
import { describe, expect, test } from 'vitest';
import { outsideFinding } from '../../../../edge/doctor/examine-outside.ts';
import { type OutsideAnswer, OutsideDesk } from '../../../../edge/doctor/outside.ts';
import type { ConfigEvent } from '../../../../shared/core/registration/config-events.ts';
import type { OutsidePort } from '../../../../shared/core/registration/outside-api.ts';
import { seededEntropy } from '../../../support/seeded.ts';

class World {
  readonly told: ConfigEvent[] = [];
  device: string | undefined = 'laptop';
  expire: () => void = () => undefined;
  readonly desk: OutsideDesk = new OutsideDesk({
    tell: (event) => {
      if (this.device !== undefined) this.told.push(event);
      return this.device;
    },
    entropy: seededEntropy(1),
    after: (_delayMs, run) => {
      this.expire = run;
      return () => undefined;
    },
  });

  async idAt(index: number): Promise<string> {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    const event = this.told[index];
    return event?.kind === 'look-from-outside' ? event.id : 'none';
  }
}

const open: OutsidePort = { protocol: 'udp', port: 51820, answer: 'edge' };

describe('a look from outside', () => {
  test('is what the device tells that was asked', async () => {
    const world = new World();
    const answer = world.desk.ask([443, 8443]);
    const id = await world.idAt(0);

    world.desk.handleReport('stranger', { id, ports: [] });
    world.desk.handleReport('laptop', { id: 'other', ports: [] });
    world.desk.handleReport('laptop', { id, ports: [open] });

    expect(await answer).toEqual([open]);
    expect(world.told).toMatchObject([{ kind: 'look-from-outside', httpsPorts: [443, 8443] }]);
  });

  test('is none where no device follows, or none tells in time', async () => {
    const world = new World();
    world.device = undefined;
    expect(await world.desk.ask([443])).toBe('nobody');

    world.device = 'laptop';
    const answer = world.desk.ask([443]);
    const id = await world.idAt(0);
    world.expire();

    expect(await answer).toBe('silent');
    world.desk.handleReport('laptop', { id, ports: [open] });
  });

  test('is asked for one after the other', async () => {
    const world = new World();
    const first = world.desk.ask([443]);
    const second = world.desk.ask([443]);
    const id = await world.idAt(0);
    expect(world.told).toHaveLength(1);

    world.desk.handleReport('laptop', { id, ports: [open] });
    await first;
    const nextId = await world.idAt(1);
    world.desk.handleReport('laptop', { id: nextId, ports: [] });

    expect(await second).toEqual([]);
    expect(nextId).not.toBe(id);
  });
});

describe('what it means', () => {
  test.each<[string, OutsideAnswer, string, string]>([
    ['nobody could be asked', 'nobody', 'good', 'No device'],
    ['nobody answered', 'silent', 'warning', 'did not answer'],
    [
      'all is reached',
      [open, { protocol: 'https', port: 443, answer: 'edge' }],
      'good',
      'UDP 51820, HTTPS 443',
    ],
    [
      'one is not',
      [open, { protocol: 'https', port: 443, answer: 'other' }],
      'warning',
      'not reach HTTPS 443',
    ],
    ['none is', [{ protocol: 'udp', port: 51820, answer: 'silent' }], 'bad', 'not reach UDP 51820'],
  ])('%s', (_title, answer, verdict, words) => {
    const finding = outsideFinding(answer);

    expect(finding.verdict).toBe(verdict);
    expect(finding.text).toContain(words);
  });
});
