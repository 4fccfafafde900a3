/** What happens before an edge is built: nobody else runs here, what a crash left is gone, the file makes sense. */

import { mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../shared/core/control/codes.ts';
import { run } from '../shared/node/run.ts';
import { answers } from './admin/client.ts';
import type { EdgeConfig } from './config.ts';
import { loadConfig } from './config-file.ts';
import { HostJournal, type HostPlace, hostPlace } from './host/journal.ts';
import { kernelSettings } from './host/kernel-settings.ts';
import { askHost, checkPrivileges, kernelMissing } from './host/privileges.ts';
import { undoJournal } from './host/undo.ts';
import type { EdgeOptions } from './run-options.ts';

export interface Prepared {
  readonly config: EdgeConfig;
  readonly journal: HostJournal;
  /** Half a sentence, as in ConfigSurroundings. */
  readonly kernelMissing: string | undefined;
}

const journalName = 'host-journal.jsonl';

/** Throws CulvertError; nothing is left behind then. */
export async function prepare(options: EdgeOptions, socketPath: string): Promise<Prepared> {
  const { dataFolder, configPath, log } = options;
  if (await answers(socketPath)) throw new CulvertError('edge-running');
  const journal = new HostJournal(join(dataFolder, journalName), placeHere());
  const leftovers = await undoJournal(journal, { run, settings: kernelSettings, log });
  if (leftovers > 0) log.warn('cleaned up after an edge that ended abruptly', { changes: leftovers });
  const host = askHost();
  const missing = kernelMissing(host);
  const { config, warnings } = loadConfig(configPath, dataFolder, missing);
  for (const { line, text } of warnings) log.warn(text, { line });
  if (config.backend === 'kernel') checkPrivileges(host);
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  return { config, journal, kernelMissing: missing };
}

function placeHere(): HostPlace {
  if (process.platform !== 'linux') return { boot: process.platform, netns: '' };
  return hostPlace((path) => readFileSync(path, 'utf8'), readlinkSync);
}
