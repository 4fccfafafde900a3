/**
 * Reads and writes values of desktops, by their own programs and never by their files: GNOME's gsettings, KDE's
 * kreadconfig and kwriteconfig. The environment's file is ours alone. Decides nothing.
 */

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import { writeAtomic } from '../../settings/atomic-file.ts';
import { type DesktopKey, type DesktopStore, gnomeSchema, kdeFile } from './plan.ts';

/** `undefined` is a value, too: nothing is set. */
export interface StoreAccess {
  read(key: DesktopKey): Promise<string | undefined>;
  write(key: DesktopKey, value: string | undefined): Promise<void>;
  /** After the last of several writes: tells programs that run. Never throws. */
  announce(): Promise<void>;
}

/** What stands for "nothing is set" in an answer of kreadconfig. */
const unsetMark = '-culvert-unset-';
/** Newest first. */
const kdeVersions = ['6', '5'] as const;

/** The store as it is here, or undefined where this machine has none. */
export async function openStore(store: DesktopStore, run: Run): Promise<StoreAccess | undefined> {
  switch (store) {
    case 'gnome':
      return (await works(run, 'gsettings', ['get', gnomeSchema, 'mode'])) ? gnome(run) : undefined;
    case 'kde': {
      for (const version of kdeVersions) {
        const found =
          (await works(run, `kreadconfig${version}`, ['--help'])) &&
          (await works(run, `kwriteconfig${version}`, ['--help']));
        if (found) return kde(run, version);
      }
      return undefined;
    }
    case 'environment':
      return environment;
  }
}

function gnome(run: Run): StoreAccess {
  const get = async ({ place, key }: DesktopKey): Promise<string> =>
    (await run('gsettings', ['get', place, key])).stdout.trim();
  return {
    read: get,
    write: async (key, value) => {
      // What was a default before shall be one again, not a choice that looks like it.
      await run('gsettings', ['reset', key.place, key.key]);
      if (value !== undefined && (await get(key)) !== value) {
        await run('gsettings', ['set', key.place, key.key, value]);
      }
    },
    announce: () => Promise.resolve(),
  };
}

function kde(run: Run, version: string): StoreAccess {
  const words = ({ place, key }: DesktopKey): readonly string[] => [
    '--file',
    kdeFile,
    '--group',
    place,
    '--key',
    key,
  ];
  return {
    read: async (key) => {
      const { stdout } = await run(`kreadconfig${version}`, [...words(key), '--default', unsetMark]);
      const value = stdout.replace(/\n$/, '');
      return value === unsetMark ? undefined : value;
    },
    write: async (key, value) => {
      const what = value === undefined ? ['--delete', ''] : ['--', value];
      await run(`kwriteconfig${version}`, [...words(key), ...what]);
    },
    announce: async () => {
      const signal = 'org.kde.KIO.Scheduler.reparseSlaveConfiguration';
      // Programs that start later read the file anyway.
      await run('dbus-send', ['--type=signal', '/KIO/Scheduler', signal, 'string:'], {
        allowFailure: true,
      }).catch(() => undefined);
    },
  };
}

const environment: StoreAccess = {
  read: ({ place }) => Promise.resolve(existsSync(place) ? readFileSync(place, 'utf8') : undefined),
  write: async ({ place }, value) => {
    if (value === undefined) rmSync(place, { force: true });
    else writeAtomic(place, value);
  },
  announce: () => Promise.resolve(),
};

async function works(run: Run, program: string, words: readonly string[]): Promise<boolean> {
  try {
    await run(program, words);
    return true;
  } catch (error) {
    if (error instanceof CulvertError) return false;
    throw error;
  }
}
