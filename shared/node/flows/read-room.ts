/**
 * Memory for large reads, used again and again. A fresh piece for each would be garbage outside of the heap, for whose
 * sake the engine then collects the whole heap several times a second. What is never given back is garbage as ever.
 */

/** Largest piece of one read. */
export const roomBytes: number = 64 * 1024;
/** Kept for the next reads of all streams of a thread. */
const maxFree = 32;

const free: Buffer[] = [];
/** By the memory behind them. */
const lent = new WeakMap<object, { readonly room: Buffer; readonly size: number }>();

/** Memory with anything in it; `size` is `roomBytes` at most. */
export function takeRoom(size: number): Buffer {
  const room = free.pop() ?? Buffer.allocUnsafeSlow(roomBytes);
  lent.set(room.buffer, { room, size });
  return room.subarray(0, size);
}

/**
 * Nobody looks at these bytes any more. Does nothing where they are of no room, were given back before, or are only a
 * part of what was taken: somebody may still have the other.
 */
export function giveRoomBack(bytes: Uint8Array): void {
  const loan = lent.get(bytes.buffer);
  if (loan === undefined || bytes.byteOffset !== 0 || bytes.length !== loan.size) return;
  lent.delete(bytes.buffer);
  if (free.length < maxFree) free.push(loan.room);
}
