// Every bad network of the lab × the modes with a tunnel, with one edge and one daemon that are used again: the states and
// the codes that a person saw, and the time to data, as a table that is printed and written to a file.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tableText } from '../../client/lab/lab-text.ts';
import { type LabNetwork, type LabStep, labNetworks } from '../../client/lab/networks.ts';
import { LabStage } from '../../client/lab/stage.ts';
import { type Story, StoryTeller } from '../../client/lab/story.ts';
import type { Mode } from '../../shared/core/control/status.ts';
import { describeWith } from '../support/requires.ts';

const modes: readonly Mode[] = ['tunnel', 'tunnel+doh', 'proxy'];
const patienceMs = 40_000;
/** Nothing ever loads there, and that has to be seen. */
const hopeless = 'tls-intercept';
const hopelessMs = 6000;
/** People need longer than this to sign in; the table need not wait for them. */
const soonMs = 4000;

/** Ten seconds are promised; the rest is a slow machine's. */
const leftWithinMs = 40_000;

/** From the beginning of the download until UDP was left. */
function leftMs(story: Story | undefined): number {
  const begun = story?.lines.find(({ text }) => text.startsWith('somebody loads'))?.ms ?? 0;
  const left = story?.lines.find(({ kind, text }) => kind === 'health' && /\[udp-/.test(text))?.ms;
  return (left ?? Number.POSITIVE_INFINITY) - begun;
}

/** With less waiting, and less to load. */
function brisk({ name, sentence, steps }: LabNetwork): LabNetwork {
  const shorter = (step: LabStep): LabStep =>
    step.do === 'download' ? { ...step, kilobytes: 400 } : { ...step, atMs: Math.min(step.atMs, soonMs) };
  return { name, sentence, steps: steps.map(shorter) };
}

describeWith({ namespaces: true, tools: ['ip', 'nft'] }, 'the table of bad networks', () => {
  const stories: Story[] = [];
  const path = join(mkdtempSync(join(tmpdir(), 'culvert-lab-table-')), 'table.md');
  let stage: LabStage;

  beforeAll(async () => {
    stage = await LabStage.build('tunnel');
    await stage.start();
  }, 120_000);

  afterAll(async () => {
    process.stdout.write(`\n${tableText(stories)}\nThis table: ${path}\n`);
    await stage.clear();
  }, 60_000);

  async function play(network: LabNetwork, mode: Mode): Promise<Story> {
    await stage.again(mode);
    const teller = new StoryTeller(stage, brisk(network), {
      patienceMs: network.name === hopeless ? hopelessMs : patienceMs,
      onLine: () => undefined,
      signal: new AbortController().signal,
    });
    const story = await teller.play();
    stories.push(story);
    // At once, so that a run that ends early leaves what it saw.
    writeFileSync(path, `${tableText(stories)}\n`);
    return story;
  }

  test.each(modes)(
    '%s: every network ends connected with data, but for the one that lets nothing through, and none leaks',
    { timeout: 400_000 },
    async (mode) => {
      const own: Story[] = [];
      for (const network of labNetworks) own.push(await play(network, mode));

      const named = (name: string): Story | undefined => own.find(({ network }) => network === name);
      expect(own.filter(({ outside }) => outside > 0)).toEqual([]);
      const without = own.filter(({ firstPageMs }) => firstPageMs === undefined);
      expect(without.map(({ network }) => network)).toEqual([hopeless]);
      const last = own.map(({ network, states }) => `${network} ${states.at(-1)}`);
      expect(last.filter((text) => !text.endsWith(' connected'))).toEqual([`${hopeless} connecting`]);
      expect(named(hopeless)?.health).toContain('tls-intercepted');
      expect(named('udp-block')?.health).toContain('udp-blocked');
      // Where it loses nearly all, it is left for that.
      expect(named('udp-throttle')?.health.join(' ')).toMatch(/udp-(slow|blocked)/);
      expect(leftMs(named('udp-throttle'))).toBeLessThan(leftWithinMs);
      expect(named('udp-throttle')?.downloadMs).toBeLessThan(patienceMs);
      expect([...(named('portal')?.states ?? []), ...(named('portal')?.health ?? [])]).toContain('portal');
    },
  );
});
