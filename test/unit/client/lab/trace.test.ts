import { expect, test } from 'vitest';
import { labNetworks, parseTrace } from '../../../../client/lab/networks.ts';
import type { Story } from '../../../../client/lab/story.ts';
import { comparisonText, differences, traceText } from '../../../../client/lab/trace.ts';

const story: Story = {
  network: 'udp-block',
  mode: 'proxy',
  states: ['off', 'connecting', 'connected'],
  health: ['udp-blocked', 'a-code'],
  firstPageMs: 1500,
  outside: 0,
  lines: [],
};

test('every network can be recorded with what was seen, and played again from that', () => {
  for (const network of labNetworks) {
    const read = parseTrace(traceText(network, story));

    expect(read).toEqual({
      ...network,
      saw: { mode: 'proxy', states: story.states, health: ['a-code', 'udp-blocked'], loads: true },
    });
    expect(read.saw === undefined ? undefined : differences(read.saw, { ...story, firstPageMs: 9 })).toEqual(
      [],
    );
  }
});

test('what went another way is told: the mode, the pages, the states and the codes', () => {
  const saw = { mode: 'tunnel', states: ['off'], health: [], loads: true };
  const { firstPageMs: _, ...without } = story;

  const different = differences(saw, without);

  expect(different).toEqual([
    'The mode was tunnel, and is proxy.',
    'Pages loaded, and do not.',
    'The states were off, and are off → connecting → connected.',
    'The codes were none, and are a-code udp-blocked.',
  ]);
  expect(comparisonText(different)).toMatch(/^It went another way .*\n {2}The mode was/);
  expect(comparisonText([])).toBe('It went as it did when this was written down.');
});

test('what was seen is checked like the rest of a trace', () => {
  const text = traceText(labNetworks[0] ?? { name: '', sentence: '', steps: [] }, story);

  expect(() => parseTrace(text.replace('"loads": true', '"loads": 1'))).toThrow(
    expect.objectContaining({ code: 'bad-usage' }),
  );
});
