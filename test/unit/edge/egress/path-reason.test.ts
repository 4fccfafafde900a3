// Why a path stands as it does, in words, what it moved, and how the table of paths looks.
import { describe, expect, test } from 'vitest';
import { pathTable } from '../../../../edge/cli/commands/path.ts';
import type { PathStatus } from '../../../../edge/egress/egress-paths.ts';
import { FlowPins } from '../../../../edge/egress/flow-pins.ts';
import { reasonOf, type Standing } from '../../../../edge/egress/path-reason.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { Series } from '../../../../shared/core/control/graph.ts';

function standing(id: string, fields: Partial<Standing> = {}): Standing {
  return {
    id,
    isBlock: false,
    isDefault: false,
    isDrained: false,
    trouble: undefined,
    health: 'good',
    costMs: 20,
    lossPercent: 0,
    ...fields,
  };
}

const usual = standing('direct', { isDefault: true });

describe('the reason', () => {
  test.each([
    [standing('none', { isBlock: true }), 'leads nowhere, on purpose'],
    [standing('a', { trouble: 'there is no interface x' }), 'there is no interface x'],
    [standing('a', { isDrained: true }), 'drained: new flows avoid it'],
    [standing('a', { health: 'down' }), 'does not answer; flows avoid it'],
    [standing('a', { health: 'suspect' }), 'did not answer a moment ago; it is looked at again'],
    [standing('a', { health: 'recovering' }), 'answers again; it must prove itself first'],
    [standing('a', { costMs: undefined }), 'not measured yet'],
    [standing('a', { costMs: 35.4, lossPercent: 4.2 }), '15 ms slower than direct, loses 4 %'],
    [standing('a', { costMs: 18 }), 'not better than direct by enough, or for long enough'],
  ])('%#', (one, reason) => {
    expect(reasonOf(one, [usual, one])).toBe(reason);
  });

  test('of the usual path compares it with the next that could be taken', () => {
    const others = [
      standing('down', { costMs: 1, trouble: 'gone' }),
      standing('fra', { costMs: 31 }),
      standing('ams', { costMs: 28 }),
    ];

    expect(reasonOf(usual, [usual, ...others])).toBe(
      'flows take it unless a rule or a pin says otherwise: about 20 ms, next ams with 28 ms',
    );
    expect(reasonOf(usual, [usual])).toBe('flows take it unless a rule or a pin says otherwise');
  });
});

test('bytes of a path are those of its flows that run, and of those that have ended', () => {
  const pins = new FlowPins();
  let moved = 10;
  const pin = { path: 'fra', device: 'laptop', openedAt: monoMs(0), bytes: () => moved };
  pins.open(pin);
  pins.open({ path: 'fra', device: 'phone', openedAt: monoMs(0), bytes: () => 5 });

  expect(pins.bytes().get('fra')).toBe(15);
  moved = 100;
  pins.end(pin, monoMs(1));
  pins.end(pin, monoMs(2));
  moved = 1000;

  expect(pins.bytes().get('fra')).toBe(105);
});

test('the table has a graph of each path where somebody watches', () => {
  const path: PathStatus = {
    id: 'fra',
    type: 'direct',
    state: 'good',
    trouble: null,
    isDefault: true,
    rttMs: 12.5,
    lossPercent: 0,
    flows: 3,
    opened: 9,
    failed: 0,
    sharePercent: 50,
    bytes: 1_500_000,
    reason: 'the best',
  };
  const history = new Series(30);
  for (const value of [10, undefined, 20]) history.add('fra', value);

  expect(pathTable([path])).toMatch(
    /^PATH +TYPE[^\n]*\nfra \* +direct +good +12\.5 ms +0 % +3 +1\.5 MB +█{5}·{5} 50 % +the best\n$/,
  );
  expect(pathTable([path], history)).toMatch(/LAST MINUTE[\s\S]*▅ █ {2}the best/);
});
