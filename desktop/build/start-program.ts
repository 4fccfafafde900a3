// `npm run desktop`: builds the app and starts it where there is an Electron binary; where there is none it says how to
// get one, and what works without.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { appFolder, buildApp } from './build-app.ts';
import { ownElectron } from './own-electron.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** CULVERT_ELECTRON names one; else the one that the package electron fetched. */
function electronBinary(): string | undefined {
  const named = process.env['CULVERT_ELECTRON'];
  if (named !== undefined && named !== '') return named;
  const folder = join(root, 'node_modules', 'electron');
  try {
    const found = join(folder, 'dist', readFileSync(join(folder, 'path.txt'), 'utf8').trim());
    return existsSync(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Ours, with our fuses; the named one where it cannot be had, which is said. */
async function hardened(named: string): Promise<string> {
  // On macOS the fuses lie in a framework of a signed bundle, which a copy with links would not be.
  const own = process.platform === 'linux' ? await ownElectron(named) : undefined;
  if (own === undefined) {
    process.stderr.write(
      `culvert: ${named} is started as it is, with the usual fuses: desktop/README.md says what that means.\n`,
    );
  }
  return own ?? named;
}

const binary = electronBinary();
if (binary === undefined) {
  process.stderr.write(
    [
      'culvert: there is no Electron binary here.',
      'Without it, the same window in a browser: npx culvert ui',
      'To fetch it: npx install-electron; or name one: CULVERT_ELECTRON=/path/to/electron npm run desktop',
      '',
    ].join('\n'),
  );
  process.exitCode = 1;
} else {
  await buildApp(appFolder, { launcher: join(root, 'node_modules', '.bin', 'culvert') });
  const child = spawn(await hardened(binary), [appFolder, ...process.argv.slice(2)], { stdio: 'inherit' });
  child.once('error', (error) => {
    process.stderr.write(`culvert: Electron cannot be started: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.once('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}
