// The rooms of the house, foundation first, and who may import whom. These tables are the rule: a new room gets its
// line here, at the place where everything it needs stands before it.

/** shared/core: a room may import itself and rooms listed before it. */
export const coreRooms: readonly string[] = [
  'base',
  'packet',
  'crypto',
  'wire',
  'quantum',
  'noise',
  'session',
  'admission',
  'peers',
  'tunnel',
  'netstack',
  'dns',
  'control',
  'registration',
  'uapi',
  'masque',
];

/** shared/node: native calls, then the single files at its top, then rooms. The same rule of order. */
export const nodeRooms: readonly string[] = [
  'ffi',
  'clock.ts',
  'entropy.ts',
  'silent-log.ts',
  'log.ts',
  'run.ts',
  'hold.ts',
  'heap.ts',
  'compile-soon.ts',
  'idle-timer.ts',
  'give-back.ts',
  'http.ts',
  'kernel',
  'crypto',
  'udp',
  'masque',
  'tun',
  'dataplane',
  'flows',
  'resolver',
  'control',
  'uapi',
  'lab',
  'wgtools',
  'wg',
];

/** What a part may import apart from itself, as prefixes of paths. Order inside shared is checked by the lists above. */
export const directions: Readonly<Record<string, readonly string[]>> = {
  'shared/core': [],
  'shared/node': ['shared/core/'],
  client: ['shared/core/', 'shared/node/'],
  edge: ['shared/core/', 'shared/node/'],
  'desktop/main': [
    'shared/core/control/',
    'shared/core/base/',
    // Invitations come from outside; there is one parser of them.
    'shared/core/registration/invite.ts',
    'shared/node/control/',
    'desktop/',
  ],
  'desktop/browser': ['shared/core/control/', 'shared/core/base/', 'shared/node/control/', 'desktop/'],
  'desktop/build': ['desktop/'],
  'desktop/bridge': ['shared/core/control/', 'desktop/'],
  'desktop/view': ['shared/core/control/', 'desktop/'],
};

/** Parts that may import only types from outside the desktop. */
export const typeOnlyParts: readonly string[] = ['desktop/bridge', 'desktop/view'];

/** Packages that pure code may use. */
export const corePackages: readonly RegExp[] = [/^@stablelib\//, /^@sinclair\/typebox$/];

/** Composition roots and who may import them; workers are started, never imported. */
export const leaves: Readonly<Record<string, readonly string[]>> = {
  'client/daemon.ts': ['client/main.ts'],
  'client/packet-thread.ts': [],
  'client/flow-thread.ts': [],
  'edge/edge.ts': ['edge/main.ts'],
  'edge/packet-thread.ts': [],
  'edge/flow-thread.ts': [],
};

/** Rooms where time is a parameter and nothing is awaited. */
export const pureFolders: readonly string[] = ['shared/core/', 'client/connection/', 'edge/nat/'];

export function partOf(path: string): string | undefined {
  return Object.keys(directions).find((part) => path.startsWith(`${part}/`));
}

/** The name that stands in `coreRooms` or `nodeRooms`: a folder, or a file at the top of the floor. */
export function roomOf(path: string): string | undefined {
  return /^shared\/(?:core|node)\/([^/]+)/.exec(path)?.[1];
}
