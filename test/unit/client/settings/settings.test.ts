// Settings, edges and the wish: what fits, what is written, what survives.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EdgeStore, ignoredParts } from '../../../../client/settings/edges.ts';
import {
  changeSettings,
  defaultSettings,
  defaultsFor,
  isEdgeName,
  listSettings,
  proxyAccessOf,
} from '../../../../client/settings/schema.ts';
import { SettingsStore } from '../../../../client/settings/store.ts';
import { WishFile } from '../../../../client/settings/wish.ts';

const key = `${'A'.repeat(42)}E=`;
const conf = `[Interface]
PrivateKey = ${key}
Address = 10.9.0.2/24
DNS = 10.9.0.1
Table = off
PostUp = rm -rf /
[Peer]
PublicKey = ${key}
Endpoint = edge.example.com:51820
AllowedIPs = 0.0.0.0/0
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-settings-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a setting', () => {
  test.each([
    ['mode', 'warp', 'tunnel'],
    ['mode', 'tunnel_only', 'tunnel_only'],
    ['edge', 'home', 'home'],
    ['autoConnect', 'off', false],
    ['autoConnect', true, true],
    ['tunnel.interface', 'wg-x', 'wg-x'],
    ['tunnel.mtu', '1280', 1280],
    ['tunnel.mtu', 0, 0],
    ['log.level', 'debug', 'debug'],
    ['mode', 'proxy', 'proxy'],
    ['proxy.port', '1080', 1080],
    ['proxy.port', 0, 0],
    ['proxy.username', 'me', 'me'],
    ['proxy.password', 'p:ä', 'p:ä'],
  ])('%s takes %j as %j', (name, value, expected) => {
    expect(changeSettings(defaultSettings, { [name]: value })).toHaveProperty([name], expected);
  });

  test.each([
    ['mode', 'vpn'],
    ['edge', '../x'],
    ['autoConnect', 'maybe'],
    ['tunnel.interface', 'a/b'],
    ['tunnel.interface', 'sixteen-letters-'],
    ['tunnel.mtu', '100'],
    ['tunnel.mtu', true],
    ['log.level', 'loud'],
    ['proxy.port', 65_536],
    ['proxy.port', '-1'],
    ['proxy.username', 'a:b'],
    ['proxy.username', 'a\n'],
    ['proxy.password', 'ä'.repeat(128)],
    ['proxy.password', 7],
  ])('%s refuses %j', (name, value) => {
    expect(() => changeSettings(defaultSettings, { [name]: value })).toThrow(
      expect.objectContaining({ code: 'bad-setting' }),
    );
  });

  test('that does not exist is refused, and nothing of the patch holds', () => {
    const path = join(folder, 'settings.json');
    const store = new SettingsStore(path);

    expect(() => store.change({ mode: 'tunnel_only', bogus: 1 })).toThrow(
      expect.objectContaining({ code: 'unknown-setting' }),
    );
    expect(store.current).toEqual(defaultSettings);
  });

  test('is back at its default after null', () => {
    const changed = changeSettings(defaultSettings, { mode: 'tunnel_only' });

    expect(changeSettings(changed, { mode: null })).toEqual(defaultSettings);
  });

  test('that is a secret says only that it is set, also in an error', () => {
    const secret = 'c2VjcmV0'.repeat(40);
    const settings = changeSettings(defaultSettings, { 'proxy.password': 'hidden' });
    let message = '';
    try {
      changeSettings(defaultSettings, { 'proxy.password': secret });
    } catch (error) {
      message = String(error);
    }

    expect(listSettings(settings).find((entry) => entry.name === 'proxy.password')?.value).toBe('(set)');
    expect(listSettings(defaultSettings).find((entry) => entry.name === 'proxy.password')?.value).toBe('');
    expect(message).toContain('proxy.password');
    expect(message).not.toContain(secret);
  });

  test('mode is the proxy by default where the network cannot be changed, and that is not written down', () => {
    const path = join(folder, 'settings.json');
    const defaults = defaultsFor({ mayChangeNetwork: false });
    const store = new SettingsStore(path, defaults);
    store.change({ mode: 'tunnel' });
    const chosen = new SettingsStore(path, defaults).current.mode;
    store.change({ mode: null });

    expect(chosen).toBe('tunnel');
    expect(store.current.mode).toBe('proxy');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ version: 1, values: {} });
    expect(defaultsFor({ mayChangeNetwork: true })).toEqual(defaultSettings);
  });

  test('for a password asks for nothing until name and password are both there', () => {
    const named = changeSettings(defaultSettings, { 'proxy.username': 'me' });
    const both = changeSettings(named, { 'proxy.password': 'hidden' });

    expect([defaultSettings, named, both].map(proxyAccessOf)).toEqual([
      { port: 40_000 },
      { port: 40_000 },
      { port: 40_000, credentials: { username: 'me', password: 'hidden' } },
    ]);
  });

  test('is listed with what it means', () => {
    const names = listSettings(defaultSettings).map((entry) => entry.name);

    expect(names.toSorted()).toEqual(Object.keys(defaultSettings).toSorted());
  });
});

describe('the settings file', () => {
  test('holds only what differs from the defaults, for its owner only, and is read again', () => {
    const path = join(folder, 'settings.json');
    new SettingsStore(path).change({ mode: 'tunnel_only' });

    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ version: 1, values: { mode: 'tunnel_only' } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(new SettingsStore(path).current.mode).toBe('tunnel_only');
  });

  test('may name settings that this version does not know', () => {
    const path = join(folder, 'settings.json');
    writeFileSync(path, '{"version":1,"values":{"later":true,"mode":"tunnel_only"}}');

    expect(new SettingsStore(path).current.mode).toBe('tunnel_only');
  });

  test.each(['', '{}', '{"version":9,"values":{}}', '{"version":1,"values":{"mode":"vpn"}}'])(
    'with %j is refused, not forgotten',
    (text) => {
      const path = join(folder, 'settings.json');
      writeFileSync(path, text);

      expect(() => new SettingsStore(path)).toThrow(expect.objectContaining({ code: 'settings-unreadable' }));
    },
  );
});

describe('edges', () => {
  test('are kept for their owner only, newest first', () => {
    const store = new EdgeStore(join(folder, 'edges'));
    store.add('old', conf, '2026-01-01T00:00:00.000Z');
    store.add('new', conf, '2026-02-01T00:00:00.000Z');

    expect(store.list().map((edge) => edge.name)).toEqual(['new', 'old']);
    expect(statSync(join(folder, 'edges')).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(join(folder, 'edges'))) {
      expect(statSync(join(folder, 'edges', file)).mode & 0o777).toBe(0o600);
    }
  });

  test('of the same name are replaced, and removed with their keys', () => {
    const store = new EdgeStore(folder);
    const first = store.add('home', conf, '2026-01-01T00:00:00.000Z');
    const second = store.add('home', conf, '2026-02-01T00:00:00.000Z');
    store.remove('home');

    expect([first.replaced, second.replaced]).toEqual([false, true]);
    expect(store.list()).toEqual([]);
    expect(() => store.remove('home')).toThrow(expect.objectContaining({ code: 'unknown-edge' }));
  });

  test('name every part of a file that is not done', () => {
    const { edge } = new EdgeStore(folder).add('home', conf, '2026-01-01T00:00:00.000Z');

    const sentences = ignoredParts(edge.config);

    expect(sentences).toHaveLength(3);
    expect(sentences[0]).toContain('PostUp on line 6');
    expect(sentences.join()).not.toContain('rm -rf');
  });

  test.each([
    ['no address', conf.replace(/Address.*\n/, '')],
    ['no endpoint', conf.replace(/Endpoint.*\n/, '')],
    ['a wrong key', conf.replace(key, 'short')],
    ['no sense', 'hello'],
  ])('with %s are refused as bad-config', (_title, text) => {
    expect(() => new EdgeStore(folder).add('home', text, '')).toThrow(
      expect.objectContaining({ code: 'bad-config' }),
    );
  });

  test('never repeat a key in an error', () => {
    const secret = 'c2VjcmV0c2VjcmV0';
    let message = '';
    try {
      new EdgeStore(folder).add('home', conf.replace(key, secret), '');
    } catch (error) {
      message = String(error);
    }

    expect(message).toContain('PrivateKey');
    expect(message).not.toContain(secret);
  });

  test.each(['auto', '', '../x', 'a/b', '.hidden', 'x'.repeat(33)])('cannot be named %j', (name) => {
    expect(isEdgeName(name)).toBe(false);
    expect(() => new EdgeStore(folder).add(name, conf, '')).toThrow(
      expect.objectContaining({ code: 'bad-edge-name' }),
    );
    expect(() => new EdgeStore(folder).profile(name)).toThrow(
      expect.objectContaining({ code: 'unknown-edge' }),
    );
  });
});

describe('the wish', () => {
  test('is remembered, changed and taken back', () => {
    const path = join(folder, 'wish.json');
    const first = new WishFile(path).read();
    new WishFile(path).remember('home');
    const second = new WishFile(path).read();
    new WishFile(path).remember(undefined);

    expect([first, second, new WishFile(path).read()]).toEqual([undefined, 'home', undefined]);
  });

  test('that makes no sense is none', () => {
    const path = join(folder, 'wish.json');
    writeFileSync(path, '{"edge":"../../etc"}');

    expect(new WishFile(path).read()).toBeUndefined();
  });
});
