import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { lostFlag, repeatedFlag, SentLog, sackedFlag } from '../../../../../shared/core/netstack/sent-log.ts';

interface Record {
  start: number;
  end: number;
  state: 'flying' | 'lost' | 'sacked';
  repeated: boolean;
}

const kinds = ['push', 'sack', 'lose', 'repeat', 'shift', 'trim', 'renege'] as const;

describe('the log of what is in flight', () => {
  test('agrees with a plain list, across the wrap of sequence numbers', () => {
    const commands = fc.array(fc.tuple(fc.constantFrom(...kinds), fc.nat(1000)), { maxLength: 300 });
    fc.assert(
      fc.property(commands, (list) => {
        const log = new SentLog();
        const model: Record[] = [];
        /** In the order of sending. */
        let order: Record[] = [];
        let next = 0x7fff_f000 | 0;
        for (const [now, [kind, n]] of list.entries()) {
          const index = model.length === 0 ? -1 : n % model.length;
          const record = log.first + index;
          const one = model[index];
          if (kind === 'push') {
            const end = (next + 1 + (n % 100)) | 0;
            log.push(next, end, monoMs(now));
            const added: Record = { start: next, end, state: 'flying', repeated: false };
            model.push(added);
            order.push(added);
            next = end;
          } else if (one === undefined) {
            continue;
          } else if (kind === 'sack') {
            expect(log.markSacked(record)).toBe(one.state !== 'sacked');
            one.state = 'sacked';
            order = order.filter((other) => other !== one);
          } else if (kind === 'lose' && one.state === 'flying') {
            log.markLost(record);
            one.state = 'lost';
            order = order.filter((other) => other !== one);
          } else if (kind === 'repeat' && one.state !== 'sacked') {
            log.repeat(record, monoMs(now));
            one.state = 'flying';
            one.repeated = true;
            order = [...order.filter((other) => other !== one), one];
          } else if (kind === 'shift') {
            log.shift();
            const [gone] = model.splice(0, 1);
            order = order.filter((other) => other !== gone);
          } else if (kind === 'trim' && ((model[0]!.end - model[0]!.start) | 0) > 1) {
            const start = (model[0]!.start + 1) | 0;
            if (model[0]!.state === 'sacked') continue;
            log.trimFirst(start);
            model[0]!.start = start;
          } else if (kind === 'renege') {
            log.renege();
            for (const other of model) if (other.state === 'sacked') other.state = 'lost';
          }
          check(log, model, order);
        }
      }),
      { seed: 9, numRuns: 150 },
    );
  });

  test('finds the record that holds a number', () => {
    const log = new SentLog();
    for (let i = 0; i < 40; i++) log.push(i * 10, i * 10 + 10, monoMs(i));
    for (let i = 0; i < 5; i++) log.shift();

    expect(log.start(log.find(123))).toBe(120);
    expect(log.start(log.find(120))).toBe(120);
    expect(log.find(9)).toBe(log.first);
    expect(log.find(400)).toBe(log.last);
  });
});

function check(log: SentLog, model: readonly Record[], order: readonly Record[]): void {
  expect(log.count).toBe(model.length);
  let inFlight = 0;
  for (const [i, one] of model.entries()) {
    const record = log.first + i;
    const flags = log.flags(record);
    expect([log.start(record), log.end(record)]).toEqual([one.start, one.end]);
    expect((flags & sackedFlag) !== 0).toBe(one.state === 'sacked');
    expect((flags & lostFlag) !== 0).toBe(one.state === 'lost');
    expect((flags & repeatedFlag) !== 0).toBe(one.repeated);
    if (one.state === 'flying') inFlight += (one.end - one.start) | 0;
  }
  expect(log.inFlight).toBe(inFlight);
  expect(log.lostCount).toBe(model.filter((one) => one.state === 'lost').length);
  expect(log.sackedCount).toBe(model.filter((one) => one.state === 'sacked').length);
  const firstLost = model.findIndex((one) => one.state === 'lost');
  expect(log.nextLost()).toBe(firstLost < 0 ? -1 : log.first + firstLost);
  const found: number[] = [];
  for (let record = log.oldest(); record >= 0; record = log.after(record)) found.push(log.start(record));
  expect(found).toEqual(order.map((one) => one.start));
}
