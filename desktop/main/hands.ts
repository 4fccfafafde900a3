// What the system does for the app, by Electron: dialogs, addresses, start with the session, a daemon. Everything that
// opens outside the app goes through here, and only to addresses that stand here or in topics.ts.
import { writeFile } from 'node:fs/promises';
import { autostartPath, isAutostarted, setAutostart as setAutostartFile, setLoginItem } from './autostart.ts';
import type { Hands } from './commands.ts';
import { startDaemon, startWords } from './daemon-start.ts';
import type { ElectronParts } from './electron-parts.ts';
import { topicAddress } from './topics.ts';

export interface SystemFacts {
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Words that start this app again. */
  readonly ownWords: readonly string[];
  /** Of the project; absent: no help pages. */
  readonly homepage: string | undefined;
  /** The `culvert` of a checkout, where the app runs in one. */
  readonly launcher: string | undefined;
  /** The control socket that the app was told to use. */
  readonly socket: string | undefined;
}

export interface SystemHands {
  readonly hands: Hands;
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
  const canHelp = topicAddress('help', facts.homepage) !== undefined;
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
      ...(canHelp
        ? { openTopic: (topic) => shell.openExternal(topicAddress(topic, facts.homepage) ?? '') }
        : {}),
    },
    isAutostarted: () => (hasFile ? isAutostarted(autostart) : app.getLoginItemSettings().openAtLogin),
    setAutostart: (wanted) => {
      if (hasFile) setAutostartFile(autostart, facts.ownWords, wanted);
      else setLoginItem(app, wanted);
    },
  };
}
