import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetworkMemory } from '../../../../client/transport/network-memory.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';

const day = 86_400_000;
let folder: string;
let path: string;
let now: number;
let memory: NetworkMemory;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-memory-'));
  path = join(folder, 'transports.json');
  now = 100 * day;
  memory = new NetworkMemory(path, () => unixMs(now));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the memory of networks', () => {
  it('survives, and keeps networks and edges apart', () => {
    memory.remember('v4 eth0 192.0.2.1 192.0.2.7', 'home', 'tls');

    const another = new NetworkMemory(path, () => unixMs(now));

    expect(another.recall('v4 eth0 192.0.2.1 192.0.2.7', 'home')).toBe('tls');
    expect(another.recall('v4 eth0 192.0.2.1 192.0.2.7', 'work')).toBeUndefined();
    expect(another.recall('v4 eth0 192.0.3.1 192.0.3.7', 'home')).toBeUndefined();
  });

  it('holds the last that was learnt, for a month', () => {
    memory.remember('here', 'home', 'tls');
    memory.remember('here', 'home', 'udp');
    now += 30 * day;
    expect(memory.recall('here', 'home')).toBe('udp');
    now += 1;
    expect(memory.recall('here', 'home')).toBeUndefined();
  });

  it('forgets the oldest of many', () => {
    for (let i = 0; i <= 64; i++) memory.remember(`network ${i}`, 'home', 'tls');

    expect(memory.recall('network 0', 'home')).toBeUndefined();
    expect(memory.recall('network 1', 'home')).toBe('tls');
  });

  it('writes no name and no address to the disk, and for its owner alone', () => {
    memory.remember('v4 eth0 192.0.2.1 192.0.2.7', 'home', 'tls');

    expect(readFileSync(path, 'utf8')).not.toMatch(/192|eth0|home/);
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it.each(['', 'x', '{}', '[1,null,{"network":5}]'])('knows nothing from nonsense: %s', (text) => {
    writeFileSync(path, text);
    expect(memory.recall('here', 'home')).toBeUndefined();
    memory.remember('here', 'home', 'tls');
    expect(memory.recall('here', 'home')).toBe('tls');
  });

  it('is no hindrance where it cannot be written', () => {
    const nowhere = new NetworkMemory('/dev/null/transports.json', () => unixMs(now));
    expect(() => nowhere.remember('here', 'home', 'tls')).not.toThrow();
    expect(nowhere.recall('here', 'home')).toBeUndefined();
  });
});
