// The program behind `culvert ui`: builds the view, serves it to one browser on this machine, and follows the daemon for
// it, until it is ended. Started by client/cli/commands/ui.ts as a process of its own.
//   node ui-program.ts [--socket PATH] [--port N] [--no-open] [--json]
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { buildBrowserBridge } from '../build/build-bridge.ts';
import { buildView } from '../build/build-view.ts';
import { realLinkParts } from '../main/link-parts.ts';
import { type PageFiles, readPageFiles } from '../main/page-files.ts';
import { openerHere, openInBrowser } from './open.ts';
import { startUi } from './ui.ts';
import { serveUi } from './ui-server.ts';

const launcher = fileURLToPath(new URL('../../node_modules/.bin/culvert', import.meta.url));
const packageFile = fileURLToPath(new URL('../../package.json', import.meta.url));

const { values } = parseArgs({
  options: {
    socket: { type: 'string' },
    port: { type: 'string', default: '0' },
    'no-open': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

const folder = mkdtempSync(join(tmpdir(), 'culvert-ui-'));
try {
  await run();
} catch (error) {
  complain(error);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
  if (process.connected) process.disconnect();
}

async function run(): Promise<void> {
  const about = JSON.parse(readFileSync(packageFile, 'utf8')) as {
    readonly version: string;
  };
  const isRoot = process.getuid?.() === 0;
  // A browser must never be started as root; the address is printed for the person's own.
  const opener = isRoot ? undefined : openerHere(process.env, process.platform);
  const ui = startUi({
    version: about.version,
    account: isRoot ? undefined : userInfo().username,
    env: process.env,
    home: homedir(),
    launcher,
    socket: values.socket,
    opener,
    link: realLinkParts(values.socket),
    now: () => performance.now(),
  });
  try {
    const [files, bridge] = await Promise.all([builtPage(), buildBrowserBridge()]);
    const server = await serveUi({
      port: portOf(values.port),
      files,
      bridge,
      calls: ui.calls,
      random: randomBytes,
    });
    const address = server.entrance.address ?? '';
    process.stdout.write(values.json ? `${JSON.stringify({ url: address })}\n` : invitation(address));
    if (!values['no-open'] && opener !== undefined) openPage(opener, address);
    await untilEnded();
    await server.close();
  } finally {
    ui.close();
  }
}

/** Only in memory: a checkout that belongs to somebody else cannot be written to. */
async function builtPage(): Promise<PageFiles> {
  await buildView(folder);
  return readPageFiles(folder);
}

/** By a page in our own folder, because everybody on this machine reads the words of a process. */
function openPage(opener: readonly string[], address: string): void {
  const page = join(folder, 'open.html');
  const text = `<!doctype html><meta http-equiv="refresh" content="0; url=${address}"><title>Culvert</title>\n`;
  writeFileSync(page, text, { mode: 0o600 });
  openInBrowser(opener, page);
}

function invitation(address: string): string {
  return `Open this in a browser on this machine; it works once:\n  ${address}\nCtrl-C ends it. Protection stays as it is.\n`;
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 0xffff) return port;
  throw new CulvertError('bad-usage', { text: 'A port is a number from 0 to 65535.' });
}

function untilEnded(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
    // Whoever started us is gone, however it ended.
    process.once('disconnect', () => resolve());
  });
}

/** To the command that started us, which prints it; else to whoever reads this. */
function complain(error: unknown): void {
  const { code, message, remedy } = known(error);
  if (process.send === undefined) process.stderr.write(`culvert: ${message} [${code}]\n${remedy}\n`);
  else process.send({ kind: 'failed', code, text: message, remedy });
}

function known(error: unknown): CulvertError {
  if (error instanceof CulvertError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE' || code === 'EACCES') {
    return new CulvertError('port-in-use', {
      text: 'That TCP port cannot be used.',
      remedy: 'Leave --port out, or choose another.',
    });
  }
  return new CulvertError('internal', { text: message });
}
