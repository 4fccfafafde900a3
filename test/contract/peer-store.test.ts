import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test } from 'vitest';
import { storedFields } from '../../edge/peers/store-fields.ts';
import { migrate, migrations } from '../../edge/peers/store-migrations.ts';
import { openSqliteStore, SqliteStore } from '../../edge/peers/store-sqlite.ts';
import { SqliteConnection } from '../../edge/peers/store-sqlite-connection.ts';
import { peerStoreContract } from './peer-store.ts';
import { act, newDevice, type StoreWorld } from './peer-store-arrangement.ts';
import { peerStoreRecordsContract } from './peer-store-records.ts';

const folder = mkdtempSync(join(tmpdir(), 'culvert-store-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function freshPath(): string {
  return join(folder, `store${files++}.db`);
}

function freshStore(): StoreWorld {
  const path = freshPath();
  const store = openSqliteStore(path);
  return { store, second: () => openSqliteStore(path), close: () => store.close() };
}

peerStoreContract('SqliteStore', freshStore);
peerStoreRecordsContract('SqliteStore', freshStore);

describe('the file of the SQLite store', () => {
  test('and the files beside it are for their owner alone', async () => {
    const path = freshPath();
    const store = openSqliteStore(path);
    await store.addDevice(newDevice(1), {}, act());

    const names = readdirSync(folder).filter((name) => join(folder, name).startsWith(path));
    const modes = names.map((name) => statSync(join(folder, name)).mode & 0o777);
    store.close();

    expect(names).toHaveLength(3);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  test('holds after each kill -9 of two writers at once everything that was acknowledged, and nothing by half', async () => {
    const path = freshPath();
    openSqliteStore(path).close();
    const acknowledged: number[] = [];
    for (let round = 0; round < 3; round++) {
      const pair = [2 * round, 2 * round + 1].map((writer) => writeAndKill(path, writer * 100_000));
      acknowledged.push(...(await Promise.all(pair)).flat());
    }

    const store = openSqliteStore(path);
    const devices = await store.devices();
    const revision = await store.revision();
    const page = await store.since(0);
    store.close();

    const ids = new Set(devices.map(({ id }) => id));
    expect(acknowledged.length).toBeGreaterThan(300);
    expect(acknowledged.filter((number) => !ids.has(newDevice(number).id))).toEqual([]);
    expect(devices.every(({ addresses }) => addresses.length === 2)).toBe(true);
    expect(new Set(devices.flatMap(({ addresses }) => addresses)).size).toBe(2 * devices.length);
    // At most the one that was under way at each kill came without its acknowledgement.
    expect(devices.length - acknowledged.length).toBeLessThanOrEqual(6);
    expect(revision).toBe(devices.length);
    expect(page.devices).toHaveLength(devices.length);
  });

  test('lists 10 000 devices quickly', async () => {
    const connection = new SqliteConnection(freshPath());
    migrate(connection);
    connection.transaction(() => {
      for (let i = 0; i < 10_000; i++) insertPlainly(connection, i);
    });
    const store = new SqliteStore(connection);

    const before = process.cpuUsage();
    const devices = await store.devices();
    const { user, system } = process.cpuUsage(before);
    store.close();

    expect(devices).toHaveLength(10_000);
    expect(devices[9_999]?.addresses).toHaveLength(2);
    // Time of the processor, not of a clock: what else the machine does is no matter.
    expect((user + system) / 1000).toBeLessThan(1500);
  });

  test('that cannot grow any more says so, and what was there stays', async () => {
    const connection = new SqliteConnection(freshPath());
    migrate(connection);
    const store = new SqliteStore(connection);
    await store.addDevice(newDevice(0), {}, act());
    connection.script('PRAGMA max_page_count = 60');

    const failure = await fillUp(store);
    const kept = await store.devices();
    connection.script('PRAGMA max_page_count = 100000');
    const after = await store.addDevice(newDevice(99_999), {}, act());
    store.close();

    expect(failure).toMatchObject({ code: 'store-full' });
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.every(({ addresses }) => addresses.length === 2)).toBe(true);
    expect(after.kind).toBe('added');
  });

  test('that is none is refused with a sentence', () => {
    const path = freshPath();
    new DatabaseSync(path).exec(
      'CREATE TABLE migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT',
    );
    const newer = new SqliteConnection(path);
    expect(() => migrate(newer, [...migrations, 'CREATE TABLE more (x INTEGER) STRICT'])).not.toThrow();
    newer.close();

    expect(() => openSqliteStore(path)).toThrow(expect.objectContaining({ code: 'store-newer' }));
    const garbage = freshPath();
    writeFileSync(garbage, 'This is a letter and no database. '.repeat(100));
    expect(() => openSqliteStore(garbage)).toThrow(expect.objectContaining({ code: 'store-damaged' }));
    expect(() => openSqliteStore(folder)).toThrow(expect.objectContaining({ code: 'store-unreadable' }));
    expect(() => openSqliteStore(join(folder, 'no', 'such', 'folder'))).toThrow(
      expect.objectContaining({ code: 'store-unreadable' }),
    );
  });

  test('goes forward step by step, each once, and a step that was changed is refused', async () => {
    const path = freshPath();
    const first = openSqliteStore(path);
    await first.addDevice(newDevice(1), {}, act());
    first.close();
    const steps = [...migrations, 'ALTER TABLE device ADD COLUMN note TEXT'];

    for (let i = 0; i < 2; i++) {
      const connection = new SqliteConnection(path);
      migrate(connection, steps);
      expect(connection.all('SELECT id, note FROM device')).toEqual([{ id: 'device000001', note: null }]);
      connection.close();
    }

    const changed = new SqliteConnection(path);
    const others = [`${migrations[0]} `, ...steps.slice(1)];
    expect(() => migrate(changed, others)).toThrow(expect.objectContaining({ code: 'store-damaged' }));
    changed.close();
  });

  test('can be copied while it is in use', async () => {
    const path = freshPath();
    const copy = freshPath();
    const store = openSqliteStore(path);
    for (let i = 0; i < 50; i++) await store.addDevice(newDevice(i), {}, act());

    await store.backup(copy);
    const restored = openSqliteStore(copy);

    expect(await restored.devices()).toEqual(await store.devices());
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    await expect(store.backup(copy)).rejects.toMatchObject({ code: 'store-unreadable' });
    restored.close();
    store.close();
  });

  test('has no field that the table of stored fields does not explain', () => {
    const connection = new SqliteConnection(':memory:');
    migrate(connection);
    const real = connection
      .all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .flatMap(({ name: table }) =>
        connection.all<{ name: string }>(`PRAGMA table_info(${table})`).map(({ name }) => `${table}.${name}`),
      );
    connection.close();

    const explained = storedFields.map(({ table, column }) => `${table}.${column}`);
    expect(real.length).toBeGreaterThan(40);
    expect(explained.toSorted()).toEqual(real.toSorted());
  });
});

/** Numbers of the devices that the writer said were in. */
async function writeAndKill(path: string, first: number): Promise<number[]> {
  const program = join(import.meta.dirname, 'peer-store-writer-program.ts');
  const writer = spawn(process.execPath, [program, path, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const chunk of writer.stdout) {
    said += String(chunk);
    if (said.split('\n').length > 60) writer.kill('SIGKILL');
  }
  // It was our kill that ended it, not a store that was busy.
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  expect(writer.signalCode).toBe('SIGKILL');
  return said.split('\n').slice(0, -1).map(Number);
}

async function fillUp(store: SqliteStore): Promise<unknown> {
  for (let i = 1; i < 5000; i++) {
    try {
      await store.addDevice(newDevice(i), {}, act());
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

function insertPlainly(connection: SqliteConnection, number: number): void {
  const { id, name, publicKey } = newDevice(number);
  connection.run("INSERT INTO device (id, name, kind, created_at) VALUES (?, ?, 'enrolled', 1)", id, name);
  connection.run('INSERT INTO device_key (public_key, device_id) VALUES (?, ?)', publicKey, id);
  connection.run('INSERT INTO address (address, device_id, position) VALUES (?, ?, 0)', `a${number}`, id);
  connection.run('INSERT INTO address (address, device_id, position) VALUES (?, ?, 1)', `b${number}`, id);
}
