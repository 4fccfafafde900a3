// The main figures as an SVG: one panel per figure with a scale of its own, one bar per tunnel. Readable on a light and
// on a dark page.

import { columnOf, figures, shown, withoutDisturbed } from './figures.mjs';

const panels = [
  'up1',
  'up4',
  'down1',
  'down4',
  'cpu-up1',
  'cpu-down1',
  'small-up',
  'small-down',
  'loaded-up',
  'rtt',
  'handshake',
  'crowd',
  'rss-peak',
  'rss-many',
];
const firstLabels = ['plain', 'culvert'];
/** After the order of the labels. */
const colours = ['#8a8f98', '#2f81f7', '#d29922', '#a371f7', '#3fb950', '#f0583a'];
const columns = 2;
const panelWidth = 440;
const labelWidth = 150;
const valueWidth = 84;
const barHeight = 16;
const barGap = 5;
const titleHeight = 26;
const panelGap = 26;
const margin = 24;
const headHeight = 40;

/** The whole chart as text; empty where nothing was measured. Takes the profile without a rate cap. */
export function chart(all) {
  const results = withoutDisturbed(all).kept.filter((result) => !result.rate);
  const found = new Set(results.map((result) => result.label));
  const labels = [...new Set([...firstLabels.filter((label) => found.has(label)), ...found])];
  const column = columnOf(results);
  const drawn = [];
  for (const key of panels) {
    const figure = figures.find((one) => one.key === key);
    const bars = labels
      .map((label, i) => ({
        label,
        colour: colours[i % colours.length],
        value: column(label, figure.pick),
      }))
      .filter(({ value }) => Number.isFinite(value) && value > 0);
    if (bars.length > 0) drawn.push({ figure, bars });
  }
  if (drawn.length === 0) return '';
  const width = 2 * margin + columns * panelWidth + panelGap;
  const body = [];
  let y = headHeight + margin;
  for (let i = 0; i < drawn.length; i += columns) {
    const row = drawn.slice(i, i + columns);
    body.push(...row.map((panel, k) => drawPanel(panel, { x: margin + k * (panelWidth + panelGap), y })));
    y += titleHeight + Math.max(...row.map(({ bars }) => bars.length)) * (barHeight + barGap) + panelGap;
  }
  return `${head(width, y)}${body.join('')}</svg>\n`;
}

function head(width, height) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12">
<style>
.page { fill: #ffffff } text { fill: #1f2328 } .quiet { fill: #59636e } .track { fill: #eff1f4 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 } .track { fill: #1b222b }
}
</style>
<rect class="page" width="${width}" height="${height}"/>
<text x="${margin}" y="${margin + 6}" font-size="16" font-weight="600">Tunnels side by side</text>
<text class="quiet" x="${margin}" y="${margin + 24}">medians over the rounds; every panel has its own scale</text>
`;
}

function drawPanel({ figure, bars }, { x, y }) {
  const greatest = Math.max(...bars.map(({ value }) => value));
  const room = panelWidth - labelWidth - valueWidth;
  const better = figure.more ? 'more is better' : 'less is better';
  const parts = [
    `<text x="${x}" y="${y + 12}" font-weight="600">${escaped(figure.name)} <tspan class="quiet" font-weight="400">(${escaped(figure.unit)}, ${better})</tspan></text>\n`,
  ];
  bars.forEach(({ label, colour, value }, i) => {
    const top = y + titleHeight + i * (barHeight + barGap);
    const base = top + barHeight - 4;
    const length = Math.max(1, (value / greatest) * room).toFixed(1);
    const left = x + labelWidth;
    parts.push(
      `<text x="${left - 8}" y="${base}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="track" x="${left}" y="${top}" width="${room}" height="${barHeight}" rx="3"/>`,
      `<rect fill="${colour}" x="${left}" y="${top}" width="${length}" height="${barHeight}" rx="3"/>`,
      `<text x="${left + room + 8}" y="${base}">${shown(value, figure.digits)} ${escaped(figure.unit)}</text>\n`,
    );
  });
  return parts.join('');
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
