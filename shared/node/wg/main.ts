/**
 * culvert-wg: a drop-in for wireguard-go. `culvert-wg [-f] IFNAME` makes a TUN interface that
 * `wg` and `wg-quick` configure through /var/run/wireguard/IFNAME.sock. Without -f it goes into the
 * background once the socket answers. Ends when its interface or its socket goes.
 */

import { readFileSync } from 'node:fs';
import { CulvertError } from '../../core/control/codes.ts';
import { goToBackground, isBackgroundChild, tellParent } from './background.ts';
import { runForeground } from './foreground.ts';

const usage = `Usage: culvert-wg [-f | --foreground] INTERFACE-NAME

A userspace WireGuard tunnel for wg(8) and wg-quick(8):
  culvert-wg wg0 && wg setconf wg0 wg0.conf
  WG_QUICK_USERSPACE_IMPLEMENTATION=culvert-wg wg-quick up wg0

  -f, --foreground   stay in the foreground
  --version          print the version
  -h, --help         print this

Environment:
  LOG_LEVEL          silent, error (default), info or verbose (or debug)
`;

export function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

interface Call {
  readonly foreground: boolean;
  readonly interfaceName: string;
}

function parse(words: readonly string[]): Call | 'help' | 'version' | undefined {
  let foreground = false;
  const names: string[] = [];
  for (const word of words) {
    if (word === '-h' || word === '--help') return 'help';
    if (word === '--version') return 'version';
    if (word === '-f' || word === '--foreground') foreground = true;
    else if (word.startsWith('-')) return undefined;
    else names.push(word);
  }
  const [interfaceName] = names;
  return names.length === 1 && interfaceName !== undefined ? { foreground, interfaceName } : undefined;
}

async function main(): Promise<number> {
  const call = parse(process.argv.slice(2));
  if (call === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  if (call === 'version') {
    process.stdout.write(`culvert-wg ${version()}\n`);
    return 0;
  }
  if (call === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  if (!call.foreground && !isBackgroundChild()) return await goToBackground(call.interfaceName);
  try {
    return await runForeground(call.interfaceName, tellParent);
  } catch (error) {
    const text = sentence(error);
    tellParent(text);
    process.stderr.write(text);
    return 1;
  }
}

/** One sentence, a stable code, a remedy. */
function sentence(error: unknown): string {
  if (error instanceof CulvertError) return `culvert-wg: ${error.message} [${error.code}] ${error.remedy}\n`;
  return `culvert-wg: ${error instanceof Error ? (error.stack ?? error.message) : String(error)} [internal]\n`;
}

process.exitCode = await main();
