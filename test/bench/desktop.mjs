// First paint of the window: from the request of the page to the first sentence of the home screen, in Debian's Chromium
// with the built view and a fake bridge. Median of 20 new pages. Also what the window costs while it is hidden.
// node test/bench/desktop.mjs
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildView } from '../../desktop/build/build-view.ts';
import { scenes } from '../desktop/support/scenes.ts';
import { launch, ViewWindow } from '../desktop/support/window.ts';

const rounds = 20;
const idleMs = 3_000;
const folder = fileURLToPath(new URL('../../dist/desktop/app-for-bench/', import.meta.url));

await buildView(folder);
const browser = await launch();
const paints = [];
for (let round = 0; round < rounds; round++) {
  const window = await ViewWindow.open(browser, folder, scenes.off, { isLive: true });
  const paint = await window.page.evaluate(
    `performance.getEntriesByName('first-contentful-paint')[0]?.startTime`,
  );
  if (paint !== undefined) paints.push(paint);
  await window.close();
}
paints.sort((one, other) => one - other);

const window = await ViewWindow.open(browser, folder, scenes.connected, { isLive: true });
const seen = await busyMs(window);
await window.page.evaluate(`Object.defineProperty(document, 'hidden', { value: true });
  document.dispatchEvent(new Event('visibilitychange'))`);
await new Promise((done) => setTimeout(done, idleMs)); // what was under way ends
const hidden = await busyMs(window);
await browser.close();
rmSync(folder, { recursive: true });

console.log(
  `first paint of home: median ${middle(paints)} ms of ${paints.length}, worst ${Math.round(paints.at(-1))} ms`,
);
console.log(`scripts in ${idleMs / 1000} s: ${seen} ms while seen, ${hidden} ms while hidden`);

function middle(sorted) {
  return Math.round(sorted[Math.floor(sorted.length / 2)]);
}

async function busyMs({ page }) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  const spent = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'ScriptDuration').value * 1000;
  };
  const before = await spent();
  await new Promise((done) => setTimeout(done, idleMs));
  return Number(((await spent()) - before).toFixed(1));
}
