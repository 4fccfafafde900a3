// The path that flows take by default: what its first measurements correct is no move, and binds nobody afterwards.
import { describe, expect, test } from 'vitest';
import { DefaultPath, type RankedPath } from '../../../../edge/egress/default-path.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

function ranked(a: number, b: number): readonly RankedPath[] {
  const list = [
    { id: 'a', rank: 0, costMs: a },
    { id: 'b', rank: 0, costMs: b },
  ];
  return list.toSorted((one, other) => one.costMs - other.costMs);
}

describe('the default path', () => {
  test('that was corrected by the first measurements is left at once when it goes bad', () => {
    const path = new DefaultPath();
    path.reconsider(ranked(150, 150), monoMs(0));
    path.reconsider(ranked(200, 20), monoMs(1000));
    expect([path.id, path.switches]).toEqual(['b', 0]);

    path.reconsider(ranked(40, 300), monoMs(15_000));

    expect([path.id, path.switches]).toEqual(['a', 1]);
  });

  test('still settles after ten seconds where a path is hardly measured, and never for longer than a minute', () => {
    const path = new DefaultPath();
    path.reconsider(ranked(20, 150), monoMs(0), false);
    path.reconsider(ranked(300, 20), monoMs(50_000), false);
    expect([path.id, path.switches]).toEqual(['b', 0]);

    path.reconsider(ranked(20, 300), monoMs(61_000), false);

    expect([path.id, path.switches]).toEqual(['a', 1]);
  });

  test('is not left again within a minute once it has moved', () => {
    const path = new DefaultPath();
    path.reconsider(ranked(20, 40), monoMs(0));
    path.reconsider(ranked(300, 40), monoMs(20_000));
    expect(path.id).toBe('b');

    path.reconsider(ranked(20, 300), monoMs(79_000));
    expect(path.id).toBe('b');
    path.reconsider(ranked(20, 300), monoMs(81_000));

    expect([path.id, path.switches]).toEqual(['a', 2]);
  });
});
