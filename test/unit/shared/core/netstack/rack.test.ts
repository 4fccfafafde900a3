import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { Rack } from '../../../../../shared/core/netstack/rack.ts';
import { SentLog } from '../../../../../shared/core/netstack/sent-log.ts';

const minRtt = 20;

/** Ten segments of ten bytes, one a millisecond; `arrived` of them arrive at 20 ms after they left. */
function sentTen(...arrived: number[]): { log: SentLog; rack: Rack } {
  const log = new SentLog();
  const rack = new Rack();
  for (let i = 0; i < 10; i++) log.push(10 * i, 10 * i + 10, monoMs(i));
  for (const i of arrived) {
    rack.noteArrived(log, i, monoMs(i + minRtt), minRtt);
    log.markSacked(i);
  }
  return { log, rack };
}

describe('RACK', () => {
  test('what was sent before something that arrived is lost after the window, in the order of sending', () => {
    const { log, rack } = sentTen(3);

    expect(rack.detect(log, monoMs(23), 5)).toBe(25);
    expect(log.lostCount).toBe(0);
    expect(rack.detect(log, monoMs(26), 5)).toBe(27);
    expect(log.lostCount).toBe(2);
    expect(rack.detect(log, monoMs(40), 5)).toBe(Number.POSITIVE_INFINITY);
    expect(log.lostCount).toBe(3);
  });

  test('what was sent after it is not', () => {
    const { log, rack } = sentTen(0);

    expect(rack.detect(log, monoMs(1000), 0)).toBe(Number.POSITIVE_INFINITY);
    expect(log.lostCount).toBe(0);
  });

  test('without reordering three segments beyond the gap are enough', () => {
    const { rack } = sentTen(1);

    expect(rack.windowMs(2, false, minRtt, 25)).toBe(5);
    expect(rack.windowMs(3, false, minRtt, 25)).toBe(0);
    expect(rack.windowMs(1, true, minRtt, 25)).toBe(0);
  });

  test('reordering keeps the window open, duplicates widen it once a round, up to a round trip', () => {
    const { rack } = sentTen(3, 1);
    expect(rack.reorderingSeen).toBe(true);
    expect(rack.windowMs(5, true, minRtt, 25)).toBe(5);

    rack.noteDuplicate(0, 100);
    rack.noteDuplicate(50, 120);
    expect(rack.windowMs(5, true, minRtt, 25)).toBe(10);
    rack.noteDuplicate(100, 200);
    expect(rack.windowMs(5, true, minRtt, 25)).toBe(15);
    for (let i = 2; i < 50; i++) rack.noteDuplicate(100 * i, 100 * i + 100);

    expect(rack.windowMs(5, true, minRtt, 25)).toBe(25);
  });

  test('sixteen recoveries without duplicates make it small again', () => {
    const { rack } = sentTen(3, 1);
    rack.noteDuplicate(0, 100);
    for (let i = 0; i < 15; i++) rack.noteRecovered();
    expect(rack.windowMs(5, true, minRtt, 25)).toBe(10);
    rack.noteRecovered();

    expect(rack.windowMs(5, true, minRtt, 25)).toBe(5);
  });

  test('a repetition that is acknowledged sooner than any round trip says nothing about time', () => {
    const { log, rack } = sentTen(0);
    log.markLost(1);
    log.repeat(1, monoMs(30));
    rack.noteArrived(log, 1, monoMs(31), minRtt);

    expect(rack.rttMs).toBe(minRtt);
  });

  test('after a timeout the first is lost, and what is old enough', () => {
    const { log, rack } = sentTen();
    rack.rttMs = 20;
    rack.detectAtTimeout(log, monoMs(24), 0);

    expect(log.lostCount).toBe(5);
  });
});
