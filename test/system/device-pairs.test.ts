/** Devices that may open connections to each other by their names, while they come, are renamed and go, by either backend. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import {
  AttackWorld,
  type Backend,
  namesOf,
  type RawDevice,
  servicePort,
  until,
} from './support/attack-world.ts';

let world: AttackWorld;
let sent = 0;

/** Whether a datagram from one came to the other, of each family. A marker to the far host comes after them. */
async function hears(from: RawDevice, to: RawDevice): Promise<readonly string[]> {
  const text = `m${++sent} `;
  from.send(...[to.v4, to.v6].map((address) => from.datagram(address, text)));
  await from.answering([]);
  const heard = to.received.filter((packet) => Buffer.from(packet).includes(text));
  return [...new Set(namesOf(heard).map((line) => (line.includes(':') ? 'v6' : 'v4')))].toSorted();
}

let runs = 0;
const both = ['v4', 'v6'];

describeWith({ root: true, namespaces: true, tools: ['nft'] }, 'a pair of devices in egress.allow', () => {
  beforeAll(async () => {
    world = await AttackWorld.up('cvt-pairs');
  }, 60_000);

  afterEach(() => world.rest());
  afterAll(() => world?.down());

  describe.each<Backend>(['kernel', 'userspace'])('with the %s backend', (backend) => {
    test('is whoever has the names now, in the direction that it says', { timeout: 120_000 }, async () => {
      // The store outlives an edge.
      const phoneName = `phone${++runs}`;
      await world.startServices(world.lab.inet, servicePort);
      await world.startEdge(backend, `  allow: [{ device: attacker, to: ${phoneName} }]\n`);
      expect(world.log).toMatch(/egress.allow names a device that there is not/);
      expect(world.log).not.toMatch(/phone/);
      const laptop = await world.startDevice('attacker');
      const other = await world.startDevice('victim');

      // It comes while the edge runs.
      const phone = await world.addDevice(phoneName);
      expect(await hears(laptop, phone)).toEqual(both);
      expect(await hears(other, phone)).toEqual([]);
      expect(await hears(laptop, other)).toEqual([]);

      // It answers what was begun, and begins nothing.
      phone.send(
        phone.datagram(laptop.v4, 'unasked', { sourcePort: 7, destinationPort: 8 }),
        phone.datagram(laptop.v4, 'answer', { sourcePort: servicePort, destinationPort: 9999 }),
      );
      const heard = (text: string): boolean =>
        laptop.received.some((packet) => Buffer.from(packet).includes(text));
      await until(() => heard('answer'), 'the answer arrives');
      await phone.answering([]);
      expect(heard('unasked')).toBe(false);

      // Under another name it is another, and what was begun is over, both ways.
      await world.edgeCommand('device', 'rename', phoneName, `guest${runs}`);
      await until(async () => (await hears(laptop, phone)).length === 0, 'the pair is closed');
      phone.send(phone.datagram(laptop.v4, 'late', { sourcePort: servicePort, destinationPort: 9999 }));
      await phone.answering([]);
      expect(heard('late')).toBe(false);

      // The name goes to somebody else, and away with it.
      const next = await world.addDevice(phoneName);
      expect(await hears(laptop, next)).toEqual(both);
      expect(await hears(laptop, phone)).toEqual([]);
      await world.edgeCommand('device', 'remove', phoneName);
      expect(await hears(laptop, next)).toEqual([]);
    });
  });
});
