/**
 * The numbers by which the kernel knows the paths of edge.yaml: a slot for each, seven bits of the packet mark and of
 * the connection mark, a routing table and the priority of the rule that leads there. Pure.
 *
 * Bits 24 to 30: below are those of container networks and of tunnels (bits 0 to 23), and bit 31 is left to others.
 * Other bits of both marks are never changed.
 */

export const pathMarkMask = 0x7f00_0000;
/** All other bits. */
export const otherMarkBits = 0x80ff_ffff;
/** The mark of flows that no path can carry. */
export const nowhereSlot = 127;

const slotSize = 0x0100_0000;
/** Far from the numbers that people and other programs choose. */
const firstTable = 1_083_000;
/** Before the rule of the main table (32766). */
const firstPriority = 8300;

export function markOfSlot(slot: number): number {
  return slot * slotSize;
}

/** 0: of no path. `mark`: of a packet or a connection, other bits and all. */
export function slotOfMark(mark: number): number {
  return (mark & pathMarkMask) >>> 24;
}

export function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, '0')}`;
}

export function tableOfSlot(slot: number): number {
  return firstTable + slot;
}

/** Tables of paths, whoever made them: what is read from the host leaves them out. */
export function isPathTable(table: number): boolean {
  return table > firstTable && table <= firstTable + nowhereSlot;
}

export function priorityOfSlot(slot: number): number {
  return firstPriority + slot;
}

/** Of the tunnel of a path of type wireguard. */
export function hopInterfaceOf(slot: number): string {
  return `cvhop${slot}`;
}

/**
 * Gives every path its slot. It follows from what the path is, so that a connection which outlives a run of the
 * edge finds its own path again, and a path that was changed is another.
 */
export class PathSlots {
  readonly #slots: Map<string, number> = new Map();

  /** `key`: all that makes the path what it is. Throws where all are taken; edge.yaml allows half as many. */
  take(key: string): number {
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const taken = new Set(this.#slots.values());
    const first = hash(key);
    for (let i = 0; i < nowhereSlot - 1; i++) {
      const slot = ((first + i) % (nowhereSlot - 1)) + 1;
      if (taken.has(slot)) continue;
      this.#slots.set(key, slot);
      return slot;
    }
    throw new Error('There are more paths than marks.');
  }

  /** Keeps these alone. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#slots.keys()) if (!keys.has(key)) this.#slots.delete(key);
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x0100_0193) >>> 0;
  return value;
}
