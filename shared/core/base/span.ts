/** A part of a memory that its owner moves about and uses again: how hot paths pass bytes without making objects. */
export interface Span {
  bytes: Uint8Array;
  /** First byte. */
  at: number;
  length: number;
}
