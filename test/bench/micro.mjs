// `npm run bench:micro`: nanoseconds per packet of each stage, in memory, beside the committed figures of
// micro-baseline.json. Says how much each differs; judges nothing, because machines differ too.
// `--save` writes the figures as the new baseline. `--only TEXT` runs the stages whose name contains it.

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { median } from './figures.mjs';
import { makeStages } from './micro-stages.mjs';
import { table } from './report.mjs';

const baselineFile = new URL('micro-baseline.json', import.meta.url);
const warmUpMs = 300;
const sampleMs = 60;
const samples = 11;

const { values } = parseArgs({
  options: { save: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});

/** Median of some samples, each a run of rounds; the time of reading the clock is taken off. */
function measureStage(stage, clockNs) {
  runFor(stage, warmUpMs);
  const found = [];
  for (let i = 0; i < samples; i++) {
    const { rounds, ns } = runFor(stage, sampleMs);
    found.push(Math.max(0, ns / rounds - clockNs) / stage.packets);
  }
  return Math.round(median(found) * 10) / 10;
}

function runFor({ before, round }, ms) {
  let rounds = 0;
  let ns = 0;
  for (const end = performance.now() + ms; performance.now() < end; rounds++) {
    before?.();
    const began = performance.now();
    round();
    ns += (performance.now() - began) * 1e6;
  }
  return { rounds, ns };
}

function readBaseline() {
  try {
    return JSON.parse(readFileSync(baselineFile, 'utf8'));
  } catch {
    return undefined; // none was saved yet
  }
}

const { suite, stages } = makeStages();
const clockNs = measureStage({ packets: 1, round: () => undefined }, 0);
const chosen = stages.filter(({ name }) => name.includes(values.only));
const figures = Object.fromEntries(chosen.map((stage) => [stage.name, measureStage(stage, clockNs)]));
const baseline = readBaseline();
const rows = Object.entries(figures).map(([name, ns]) => {
  const before = baseline?.figures[name];
  const change = before ? `${ns >= before ? '+' : ''}${Math.round((ns / before - 1) * 100)} %` : '-';
  return [name, ns.toFixed(1), before?.toFixed(1) ?? '-', change];
});
console.log(`Node ${process.versions.node}, ${cpus()[0].model}, suite ${suite}.`);
if (baseline) console.log(`Baseline: Node ${baseline.node}, ${baseline.cpu}, suite ${baseline.suite}.`);
console.log(`\n${table(['stage', 'ns/packet', 'baseline', 'change'], rows)}`);
if (values.save) {
  const kept = { node: process.versions.node, cpu: cpus()[0].model, suite, figures };
  writeFileSync(baselineFile, `${JSON.stringify(kept, null, 2)}\n`);
}
