import { expect, test } from 'vitest';
import { endText, lineText, listText, tableText } from '../../../../client/lab/lab-text.ts';
import { labNetworks } from '../../../../client/lab/networks.ts';
import type { Story } from '../../../../client/lab/story.ts';

const story: Story = {
  network: 'edge-down',
  mode: 'tunnel',
  states: ['off', 'connecting', 'connected', 'connecting', 'connected'],
  health: ['stalled'],
  firstPageMs: 940,
  backMs: 1210,
  longestGapMs: 6050,
  outside: 0,
  lines: [],
};

test('the list has one line for each network', () => {
  const text = listText(labNetworks);

  for (const { name, sentence } of labNetworks) expect(text).toContain(`${name.padEnd(14)}${sentence}`);
});

test('the end of a story says the times that a person felt', () => {
  expect(endText(story)).toBe(
    'First page after 0.9 s. A page again 1.2 s after the last step. Longest time without pages: 6.0 s.',
  );
});

test('a file that was loaded is told with the time that it took', () => {
  expect(endText({ ...story, downloadMs: 6300 })).toMatch(/ The file was there after 6\.3 s\.$/);
});

test('a story without a page says that nothing got out, and a page past the tunnel is called a bug', () => {
  const { firstPageMs: _a, backMs: _b, longestGapMs: _c, ...closed } = story;

  expect(endText(closed)).toMatch(/^No page loaded; nothing left/);
  expect(endText({ ...story, outside: 2 })).toMatch(/2 pages came PAST the tunnel/);
});

test('lines stand under each other, and the table has a row for each story', () => {
  expect(lineText({ ms: 12_340, kind: 'state', text: 'connected' })).toBe('  12.3 s  ● connected');
  const rows = tableText([story, { ...story, mode: 'proxy' }]).split('\n');
  expect(rows).toHaveLength(4);
  expect(rows[3]).toContain('| edge-down | proxy | 0.9 s | 1.2 s | 6.0 s |  | off → connecting');
});
