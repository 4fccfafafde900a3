import { describe, expect, it } from 'vitest';
import { stagedBytesInAll, stagedPacketsPerPeer } from '../../../../../shared/core/session/limits.ts';
import { StagedPackets } from '../../../../../shared/core/tunnel/staged.ts';

describe('staged packets', () => {
  it('are copies, oldest first', () => {
    const staged = new StagedPackets({ bytes: 0 });
    const memory = Uint8Array.of(1, 2, 3, 4);

    staged.push(memory, 0, 2);
    staged.push(memory, 2, 2);
    memory.fill(9);

    expect(staged.shift()).toEqual(Uint8Array.of(1, 2));
    expect(staged.shift()).toEqual(Uint8Array.of(3, 4));
    expect(staged.shift()).toBeUndefined();
  });

  it('drop the oldest beyond the number for one peer', () => {
    const budget = { bytes: 0 };
    const staged = new StagedPackets(budget);
    let dropped = 0;

    for (let i = 0; i < stagedPacketsPerPeer + 5; i++) dropped += staged.push(Uint8Array.of(i), 0, 1);

    expect(dropped).toBe(5);
    expect(staged.count).toBe(stagedPacketsPerPeer);
    expect(staged.peek()).toEqual(Uint8Array.of(5));
    expect(budget.bytes).toBe(stagedPacketsPerPeer);
  });

  it('drop the newcomer where all peers together hold too much', () => {
    const budget = { bytes: stagedBytesInAll - 1 };
    const staged = new StagedPackets(budget);

    expect(staged.push(Uint8Array.of(1, 2), 0, 2)).toBe(1);
    expect(staged.push(Uint8Array.of(1), 0, 1)).toBe(0);
    expect(staged.clear()).toBe(1);
    expect(budget.bytes).toBe(stagedBytesInAll - 1);
  });
});
