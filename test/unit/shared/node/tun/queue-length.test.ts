import { describe, expect, it } from 'vitest';
import {
  longestQueue,
  looksBeforeLonger,
  QueueFit,
  queueLengthFor,
  queueTargetBytes,
  shortestQueue,
} from '../../../../../shared/node/tun/queue-length.ts';

describe('the length of the interface queue', () => {
  it.each([
    ['super-packets', 64 * 1024, 500, 48],
    ['full single packets', 1420, 500, 1000],
    ['acknowledgements', 60, 48, 1000],
    ['half super-packets', 32 * 1024, 500, 96],
  ])('fits %s', (_, size, current, wanted) => {
    expect(queueLengthFor(size * 1000, 1000, current)).toBe(wanted);
  });

  it('stays where the change would be small, or where too little was read to know', () => {
    expect(queueLengthFor(64 * 1024 * 1000, 1000, 60)).toBeUndefined();
    expect(queueLengthFor(64 * 1024 * 10, 10, 500)).toBeUndefined();
  });

  it('is never outside its bounds', () => {
    for (const size of [1, 100, 9000, 65_535, queueTargetBytes * 10]) {
      const length = queueLengthFor(size * 100, 100, 200) ?? 200;
      expect(length).toBeGreaterThanOrEqual(shortestQueue);
      expect(length).toBeLessThanOrEqual(longestQueue);
    }
  });
});

describe('the length over time', () => {
  const small = [60 * 1000, 1000] as const;
  const large = [64 * 1024 * 1000, 1000] as const;

  it('becomes longer only where it was too short at many looks, one after the other', () => {
    const fit = new QueueFit();
    const looks = Array.from({ length: looksBeforeLonger }, () => fit.lengthFor(...small, shortestQueue));

    expect(looks.slice(0, -1).every((length) => length === undefined)).toBe(true);
    expect(looks.at(-1)).toBe(longestQueue);
  });

  it('begins to count anew after a look that did not find it too short', () => {
    const fit = new QueueFit();
    for (let look = 1; look < looksBeforeLonger; look++) fit.lengthFor(...small, shortestQueue);
    fit.lengthFor(...large, shortestQueue);

    expect(fit.lengthFor(...small, shortestQueue)).toBeUndefined();
  });

  it('becomes shorter at once', () => {
    expect(new QueueFit().lengthFor(...large, longestQueue)).toBe(shortestQueue);
  });
});
