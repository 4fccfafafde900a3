// The page's side of the stand-in for Electron: what the preload script imports as 'electron' in tests. Only what it uses.
import type * as Electron from 'electron';

type Relay = (event: Electron.IpcRendererEvent, ...words: any[]) => void;

interface World {
  standInInvoke?: (channel: string, words: readonly unknown[]) => Promise<unknown>;
  standInDeliver?: (channel: string, words: readonly unknown[]) => void;
}

const world = globalThis as unknown as World;
const listeners = new Map<string, Set<Relay>>();
const invoke = world.standInInvoke;

// The page must not find the way to main that only the preload script has.
delete world.standInInvoke;
Object.defineProperty(world, 'standInDeliver', {
  enumerable: false,
  value: (channel: string, words: readonly unknown[]) => {
    for (const listener of listeners.get(channel) ?? [])
      listener({} as Electron.IpcRendererEvent, ...structuredClone(words));
  },
});

export const contextBridge = {
  exposeInMainWorld: (name: string, api: object) => {
    Object.defineProperty(globalThis, name, { value: Object.freeze({ ...api }), configurable: false });
  },
} satisfies Pick<Electron.ContextBridge, 'exposeInMainWorld'>;

export const ipcRenderer = {
  invoke: async (channel: string, ...words: unknown[]) => {
    if (invoke === undefined) throw new Error('There is no main process.');
    return structuredClone(await invoke(channel, structuredClone(words)));
  },
  on: (channel: string, listener: Relay) => {
    const known = listeners.get(channel) ?? new Set();
    listeners.set(channel, known.add(listener));
    return itself();
  },
  off: (channel: string, listener: Relay) => {
    listeners.get(channel)?.delete(listener);
    return itself();
  },
} satisfies Pick<Electron.IpcRenderer, 'invoke' | 'on' | 'off'>;

function itself(): Electron.IpcRenderer {
  return ipcRenderer as unknown as Electron.IpcRenderer;
}
