import { describe, expect, test } from 'vitest';
import { LoadGauge, loadMemoryMs } from '../../../../../shared/core/admission/load-gauge.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';

const makeGauge = (): LoadGauge => new LoadGauge({ busyDepth: 8, busyPerSecond: 10 });

describe('the load gauge', () => {
  test('is quiet at first and below both thresholds', () => {
    const gauge = makeGauge();
    for (let i = 0; i < 9; i++) gauge.count(monoMs(i));

    expect(gauge.isUnderLoad(0, monoMs(10))).toBe(false);
    expect(gauge.isUnderLoad(7, monoMs(10))).toBe(false);
  });

  test('says load from the depth on that it was given, and for a second after', () => {
    const gauge = makeGauge();

    expect(gauge.isUnderLoad(8, monoMs(100))).toBe(true);
    expect(gauge.isUnderLoad(0, monoMs(100 + loadMemoryMs - 1))).toBe(true);
    expect(gauge.isUnderLoad(0, monoMs(100 + loadMemoryMs))).toBe(false);
  });

  test('begins its second anew whenever the queue is deep', () => {
    const gauge = makeGauge();
    gauge.isUnderLoad(8, monoMs(0));
    gauge.isUnderLoad(9, monoMs(900));

    expect(gauge.isUnderLoad(0, monoMs(1800))).toBe(true);
    expect(gauge.isUnderLoad(0, monoMs(1900))).toBe(false);
  });

  test('says load when too many handshakes came within a second', () => {
    const gauge = makeGauge();
    for (let i = 0; i < 10; i++) gauge.count(monoMs(50 * i));

    expect(gauge.isUnderLoad(0, monoMs(450))).toBe(true);
    expect(gauge.isUnderLoad(0, monoMs(450 + loadMemoryMs))).toBe(false);
  });

  test('stays quiet when as many come over a longer time', () => {
    const gauge = makeGauge();
    for (let i = 0; i < 100; i++) {
      gauge.count(monoMs(150 * i));
      expect(gauge.isUnderLoad(0, monoMs(150 * i))).toBe(false);
    }
  });
});
