// What the system does for the app, by Electron: dialogs, addresses, start with the session, a daemon. Everything that
// opens outside the app goes through here: one sign-in page, which the daemon names.
import { writeFile } from 'node:fs/promises';
import { allowingHand, allowingHere, readPolicy } from './allow-account.ts';
import { autostartPath, isAutostarted, setAutostart as setAutostartFile, setLoginItem } from './autostart.ts';
import type { Hands } from './commands.ts';
import { startDaemon, startWords } from './daemon-start.ts';
import type { ElectronParts } from './electron-parts.ts';

export interface SystemFacts {
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Words that start this app again. */
  readonly ownWords: readonly string[];
  /** Name of the account that runs the app. */
  readonly account: string;
  /** The `culvert` of a checkout, where the app runs in one. */
  readonly launcher: string | undefined;
  /** The control socket that the app was told to use. */
  readonly socket: string | undefined;
}

export interface SystemHands {
  readonly hands: Hands;
  /** The line to type where the app cannot ask an administrator. */
  readonly allowCommand: string | undefined;
  isAutostarted(): boolean;
  setAutostart(wanted: boolean): void;
}

const usualName = 'culvert-details.txt';

export function handsOf(
  electron: Pick<ElectronParts, 'app' | 'dialog' | 'shell'>,
  facts: SystemFacts,
): SystemHands {
  const { app, dialog, shell } = electron;
  const start = startWords(facts);
  const allowing = allowingHere({ ...facts, policy: readPolicy() });
  const autostart = autostartPath(facts.env, facts.home);
  const hasFile = facts.platform === 'linux';
  return {
    hands: {
      saveText: async (text) => {
        const { canceled, filePath } = await dialog.showSaveDialog({ defaultPath: usualName });
        if (canceled || filePath === '') return false;
        await writeFile(filePath, text, { mode: 0o600 });
        return true;
      },
      ...(start === undefined ? {} : { startDaemon: () => startDaemon(start) }),
      openSignIn: (address) => shell.openExternal(address),
      ...allowingHand(allowing),
    },
    allowCommand: allowing?.by === 'command' ? allowing.command : undefined,
    isAutostarted: () => (hasFile ? isAutostarted(autostart) : app.getLoginItemSettings().openAtLogin),
    setAutostart: (wanted) => {
      if (hasFile) setAutostartFile(autostart, facts.ownWords, wanted);
      else setLoginItem(app, wanted);
    },
  };
}
