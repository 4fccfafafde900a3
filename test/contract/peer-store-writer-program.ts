/** Adds devices to the store at argv[2] as fast as it can and says each that was acknowledged. Ends by being killed. */

import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../edge/peers/store-sqlite.ts';
import { act, newDevice } from './peer-store-arrangement.ts';

const store = openSqliteStore(process.argv[2] ?? '');
const first = Number(process.argv[3]);
for (let i = first; i < first + 100_000; i++) {
  const outcome = await store.addDevice(newDevice(i), {}, act());
  if (outcome.kind === 'added') writeSync(1, `${i}\n`);
}
