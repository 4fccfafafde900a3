/**
 * What a pure room may be given by those who act: randomness and a place for rare notes.
 * Interfaces only.
 */

/** A source of random bytes. The real one is the system's; tests give a seeded one. */
export interface Entropy {
  /** Fills the whole array. The array is borrowed until return. */
  fill(bytes: Uint8Array): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Levels as questions: see the project's style notes. Never keys; addresses and names only at debug. */
export interface Log {
  debug(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  error(text: string, fields?: LogFields): void;
}
