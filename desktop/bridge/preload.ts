// Puts exactly the table of ipc.ts on the window, as `culvert`. Built into one CommonJS file whose only require is
// electron, because a sandboxed preload script can load nothing else. No channel name, no event object and no part of
// Electron gets through.
import { contextBridge, ipcRenderer } from 'electron';
import { channels } from './channels.ts';
import type { Bridge, Outcome, Snapshot } from './ipc.ts';

const refused: Outcome<never> = { ok: false, code: 'internal' };

const bridge: Bridge = {
  get: () => ipcRenderer.invoke(channels.get) as Promise<Snapshot>,
  subscribe: (listener) => {
    const relay = (_event: unknown, snapshot: Snapshot): void => listener(snapshot);
    ipcRenderer.on(channels.snapshot, relay);
    return () => void ipcRenderer.off(channels.snapshot, relay);
  },
  send: (name, fields) => ipcRenderer.invoke(channels.send, name, fields).catch(() => refused),
};

contextBridge.exposeInMainWorld('culvert', bridge);
