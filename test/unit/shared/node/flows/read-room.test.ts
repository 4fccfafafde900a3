import { describe, expect, test } from 'vitest';
import { giveRoomBack, roomBytes, takeRoom } from '../../../../../shared/node/flows/read-room.ts';

describe('memory for large reads', () => {
  test('is used again once it is given back, and only then', () => {
    const first = takeRoom(roomBytes);
    const second = takeRoom(20_000);
    expect(second.buffer).not.toBe(first.buffer);
    giveRoomBack(first);

    const third = takeRoom(30_000);

    expect(third.buffer).toBe(first.buffer);
    expect(third).toHaveLength(30_000);
  });

  test('is not given back by a part of it, nor twice', () => {
    const room = takeRoom(20_000);
    giveRoomBack(room.subarray(0, 10_000));
    giveRoomBack(room.subarray(10_000));
    expect(takeRoom(20_000).buffer).not.toBe(room.buffer);
    giveRoomBack(room);
    giveRoomBack(room);

    const [one, two] = [takeRoom(20_000), takeRoom(20_000)];

    expect(one.buffer).toBe(room.buffer);
    expect(two.buffer).not.toBe(room.buffer);
  });

  test('takes nothing that is not its own', () => {
    const strange = Buffer.alloc(roomBytes);
    giveRoomBack(strange);

    expect(takeRoom(roomBytes).buffer).not.toBe(strange.buffer);
  });
});
