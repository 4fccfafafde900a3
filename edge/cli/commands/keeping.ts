/** `culvert-edge backup` and `restore`: the store as one file. Keys and edge.yaml are files already. */

import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { answers } from '../../admin/client.ts';
import { openSqliteStore } from '../../peers/store-sqlite.ts';
import { storePath } from '../../registration/start-registration.ts';
import {
  actAsOwner,
  addSharedFlags,
  controlSocket,
  dataFolder,
  print,
  type SharedFlags,
  withEdge,
} from '../place.ts';

const notIncluded = 'edge.yaml, edge.key and api.key are not in it: keep copies of them too.';

/** What SQLite keeps beside a store. */
const besides = ['-wal', '-shm'] as const;

export function addKeeping(program: Command): void {
  addSharedFlags(program.command('backup'))
    .description('copy the store into a new file, also while the edge runs')
    .argument('<file>')
    .action(async (file: string, flags: SharedFlags) => {
      const path = resolve(file);
      if (existsSync(path)) {
        throw new CulvertError('bad-usage', { text: `${path} exists already.`, remedy: 'Name a new file.' });
      }
      await withEdge(flags, ({ store }) => store.backup(path));
      print(flags, { file: path }, () => `The store is in ${path}. ${notIncluded}\n`);
    });
  addSharedFlags(program.command('restore'))
    .description('replace the store by a backup; the edge must not run')
    .argument('<file>')
    .action(async (file: string, flags: SharedFlags) => {
      const devices = await restore(resolve(file), flags);
      print(flags, { devices }, () => `Restored: ${devices} devices. Start the edge: culvert-edge run\n`);
    });
}

/** The old store stays until the new one was read wholly. Returns how many devices it has. */
async function restore(file: string, flags: SharedFlags): Promise<number> {
  if (await answers(controlSocket(flags)))
    throw new CulvertError('edge-running', { remedy: 'End it first.' });
  const folder = dataFolder(flags);
  if (!existsSync(file)) throw new CulvertError('file-unreadable', { text: `There is no file ${file}.` });
  actAsOwner(folder);
  const path = storePath(folder);
  const candidate = `${path}.restored`;
  forget(candidate);
  copyFileSync(file, candidate);
  let devices: number;
  try {
    const store = openSqliteStore(candidate);
    devices = await store.deviceCount();
    store.close();
  } catch (cause) {
    forget(candidate);
    throw cause;
  }
  for (const beside of besides) rmSync(path + beside, { force: true });
  renameSync(candidate, path);
  return devices;
}

function forget(path: string): void {
  for (const suffix of ['', ...besides]) rmSync(path + suffix, { force: true });
}
