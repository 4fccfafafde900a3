/**
 * Shows memory a second time at an address below 2 GiB. There a pointer is a small integer to the
 * engine; higher up every `base + offset` would be a heap object, several a packet. The pages are
 * the same ones: JavaScript writes at the high address, native calls read at the low one.
 */

import { randomInt } from 'node:crypto';
import type { Libc, MapPlace, Pointer } from './libc.ts';
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED, MFD_CLOEXEC, PROT_READ, PROT_WRITE } from './structs.ts';

export interface LowMemory {
  readonly address: Pointer;
  /** Takes the low address away again. */
  readonly unmap: () => void;
}

/** Below it lie programs that are linked to a fixed address, and their heap. */
const lowest = 0x2000_0000;
const highest = 0x7fff_0000;
/** The largest page that a supported processor uses. */
const grain = 0x1_0000;
/** The range is nearly empty: the first draw is nearly always good. */
const draws = 16;
const readWrite = PROT_READ | PROT_WRITE;

/**
 * `place` must be whole pages that nobody has written to yet. Undefined where the system refuses:
 * everything works without, slower. The address is drawn at random, as the system draws others.
 */
export function mapLow(libc: Libc, place: MapPlace): LowMemory | undefined {
  const { length } = place;
  const fd = libc.memfdCreate('culvert-packets', MFD_CLOEXEC);
  if (fd < 0) return undefined;
  try {
    const address = libc.ftruncate(fd, length) === 0 ? drawLow(libc, fd, length) : 0;
    if (address === 0) return undefined;
    const unmap = (): void => {
      libc.munmap(address, length);
    };
    if (libc.mmap(place, readWrite, MAP_SHARED | MAP_FIXED, fd) === place.address) {
      return { address, unmap };
    }
    unmap();
    return undefined;
  } finally {
    libc.close(fd);
  }
}

/** Maps the file somewhere low. Returns the address, or 0. */
function drawLow(libc: Libc, fd: number, length: number): Pointer {
  const places = Math.floor((highest - lowest - length) / grain);
  for (let i = 0; i < draws; i++) {
    const address = lowest + randomInt(places) * grain;
    const mapped = libc.mmap({ address, length }, readWrite, MAP_SHARED | MAP_FIXED_NOREPLACE, fd);
    if (mapped === address) return address;
    if (mapped > 0) libc.munmap(mapped, length);
  }
  return 0;
}
