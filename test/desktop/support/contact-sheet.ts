// Puts pictures side by side on one sheet, to be looked at after a change of the interface.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Browser } from 'playwright-core';

/** Writes `file` (PNG) with all pictures, each under its name; of a very long one its beginning. */
export async function writeSheet(browser: Browser, pictures: readonly string[], file: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 2200, height: 800 } });
  const figures = pictures.map((path) => {
    const picture = readFileSync(path).toString('base64');
    return `<figure><figcaption>${basename(path, '.png')}</figcaption><img src="data:image/png;base64,${picture}"></figure>`;
  });
  await page.setContent(
    `<style>body{margin:12px;background:#888;font:18px sans-serif;display:flex;flex-wrap:wrap;gap:12px;align-items:start}
    figure{margin:0;background:#fff;max-height:1300px;overflow:hidden}img{display:block;width:300px}figcaption{padding:4px}</style>${figures.join('')}`,
  );
  writeFileSync(file, await page.screenshot({ fullPage: true }));
  await page.close();
}
