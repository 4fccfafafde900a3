// The three channels between preload and main. The window never sees a name of them.
export const channels = {
  /** Window → main: the newest snapshot. */
  get: 'culvert:get',
  /** Window → main: a call of the table in ipc.ts. */
  send: 'culvert:send',
  /** Main → window: a new snapshot. */
  snapshot: 'culvert:snapshot',
} as const;
