// Entry of the desktop app: finds its files and hands the real Electron over. No logic.
import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as electron from 'electron';
import { startApp } from './app.ts';
import { realLinkParts } from './link-parts.ts';

/** The built app: main.mjs, preload.cjs, app.json and the folder of the view, side by side. */
const folder = dirname(fileURLToPath(import.meta.url));
const about = JSON.parse(readFileSync(join(folder, 'app.json'), 'utf8')) as {
  readonly version: string;
  readonly launcher?: string;
};
const socket = process.env['CULVERT_SOCKET'];

// Not awaited here: Electron is ready only after this file has run.
void startApp({
  electron,
  facts: {
    platform: process.platform,
    env: process.env,
    home: homedir(),
    ownWords: electron.app.isPackaged ? [process.execPath] : [process.execPath, folder],
    account: userInfo().username,
    launcher: about.launcher,
    socket,
  },
  words: process.argv.slice(1),
  isRoot: process.getuid?.() === 0,
  pageFolder: join(folder, 'view'),
  preload: join(folder, 'preload.cjs'),
  version: about.version,
  link: realLinkParts(socket),
  now: () => performance.now(),
}).catch((error: unknown) => {
  electron.dialog.showErrorBox('Culvert cannot start', String(error));
  electron.app.exit(1);
});
