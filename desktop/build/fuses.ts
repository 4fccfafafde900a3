// The switches inside an Electron binary (fuses): which of them the app wants, setting them and reading them back. What
// they mean: https://www.electronjs.org/docs/latest/tutorial/fuses. Never touches a binary that nobody named.
import { realpath } from 'node:fs/promises';
import { type FuseState, FuseV1Options, FuseVersion, flipFuses, getCurrentFuseWire } from '@electron/fuses';

/**
 * 'folder': an Electron that is told which folder holds the app, as `npm run desktop` does. 'packed': one with the app in
 * resources/app.asar beside it, which then loads nothing else.
 */
export type FuseProfile = 'folder' | 'packed';

export interface Fuse {
  readonly name: string;
  readonly state: 'on' | 'off' | 'removed' | 'unknown';
}

type Wanted = Readonly<Record<FuseV1Options, boolean>>;

/** In both profiles. */
const always: Omit<
  Wanted,
  FuseV1Options.EnableEmbeddedAsarIntegrityValidation | FuseV1Options.OnlyLoadAppFromAsar
> = {
  [FuseV1Options.RunAsNode]: false,
  [FuseV1Options.EnableCookieEncryption]: true,
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: false,
  [FuseV1Options.EnableNodeCliInspectArguments]: false,
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
  [FuseV1Options.GrantFileProtocolExtraPrivileges]: false,
  // Bounds checks of WebAssembly by the processor: no question of trust, and the usual state.
  [FuseV1Options.WasmTrapHandlers]: true,
};

/** The bytes of the wire; FuseState of the package, whose values are characters. */
const states: Readonly<Record<number, Fuse['state']>> = { 0x30: 'off', 0x31: 'on', 0x72: 'removed' };

/** Sets every fuse of the binary, or throws and changes none. One that we do not know is a reason to throw. */
export async function setFuses(binary: string, profile: FuseProfile): Promise<void> {
  const isPacked = profile === 'packed';
  await flipFuses(await realpath(binary), {
    version: FuseVersion.V1,
    strictlyRequireAllFuses: true,
    ...always,
    [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: isPacked,
    [FuseV1Options.OnlyLoadAppFromAsar]: isPacked,
  });
}

/** As they are in the file. Throws where it holds none: then it is no Electron binary. */
export async function readFuses(binary: string): Promise<readonly Fuse[]> {
  const { version: _version, ...wire } = await getCurrentFuseWire(binary);
  return Object.entries(wire as Readonly<Record<string, FuseState>>).map(([index, state]) => ({
    name: FuseV1Options[Number(index)] ?? `fuse ${index}`,
    state: states[state] ?? 'unknown',
  }));
}

/** What is not as the app wants it, one sentence each. */
export function wrongFuses(fuses: readonly Fuse[], profile: FuseProfile): readonly string[] {
  const isPacked = profile === 'packed';
  const wanted: Wanted = {
    ...always,
    [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: isPacked,
    [FuseV1Options.OnlyLoadAppFromAsar]: isPacked,
  };
  const unknown = fuses.filter(({ name }) => !Object.hasOwn(FuseV1Options, name));
  const found = new Map(fuses.map(({ name, state }) => [name, state]));
  const wrong = Object.entries(wanted).flatMap(([index, isOn]) => {
    const name = FuseV1Options[Number(index)] ?? index;
    const state = found.get(name) ?? 'missing';
    // What Electron removed can do no harm any more.
    return state === (isOn ? 'on' : 'off') || state === 'removed'
      ? []
      : [`${name} is ${state}, and must be ${isOn ? 'on' : 'off'}.`];
  });
  return [...wrong, ...unknown.map(({ name }) => `${name} is not known here: decide about it first.`)];
}

/** True where the file is one that holds fuses; a script that starts Electron is not. */
export async function hasFuses(binary: string): Promise<boolean> {
  try {
    await getCurrentFuseWire(binary);
    return true;
  } catch {
    return false;
  }
}
