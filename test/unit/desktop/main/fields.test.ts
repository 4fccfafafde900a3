// Calls of the window, judged again in main: what passes, and what a page that was taken over could try.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommandName } from '../../../../desktop/bridge/ipc.ts';
import { parseWish } from '../../../../desktop/main/fields.ts';

const fine: readonly (readonly [CommandName, object])[] = [
  ['connect', {}],
  ['disconnect', {}],
  ['pause', { forMs: 900_000 }],
  ['modes', {}],
  ['set-mode', { mode: 'tunnel+doh' }],
  ['set-families', { families: 'malware' }],
  ['settings', {}],
  ['set-setting', { name: 'dns.families', value: 'full' }],
  ['set-setting', { name: 'tunnel.mtu', value: 1280 }],
  ['set-setting', { name: 'autoConnect', value: null }],
  ['set-choice', { name: 'theme', value: 'dark' }],
  ['set-choice', { name: 'startAtLogin', value: true }],
  ['read-invitation', { link: 'culvert://x' }],
  ['enroll', { link: 'culvert://x' }],
  ['drop-invitation', {}],
  ['paths', {}],
  ['use-path', { path: 'auto' }],
  ['open-sign-in', {}],
  ['not-a-portal', {}],
  ['diagnostics', {}],
  ['save-diagnostics', { text: 'all of it' }],
  ['send-feedback', { words: 'It is slow.' }],
  ['send-feedback', { words: 'It is slow.', diagnostics: 'details' }],
  ['start-daemon', {}],
  ['allow-account', {}],
  ['trusted', {}],
  ['trust', { ssid: 'Café Guest' }],
  ['distrust', { ssid: '<b>' }],
  ['lan', {}],
  ['set-lan', { open: true }],
  ['set-lan', { open: true, forMs: 900_000 }],
  ['split', {}],
  ['add-split', { kind: 'host', target: '*.bank.example', mode: 'exclude' }],
  ['remove-split', { kind: 'ip', target: '10.0.0.0/8', mode: 'include' }],
  ['hide-window', {}],
];

const refused: readonly (readonly [string, unknown])[] = [
  ['connect', { edge: 'home' }],
  ['connect', null],
  ['connect', []],
  ['connect', 'all'],
  ['pause', {}],
  ['pause', { forMs: 0 }],
  ['pause', { forMs: Number.NaN }],
  ['pause', { forMs: 86_400_001 }],
  ['pause', { forMs: '900' }],
  ['set-mode', { mode: 'warp' }],
  ['set-mode', { mode: 'tunnel', also: 1 }],
  ['set-families', { families: 'FULL' }],
  ['set-setting', { name: 'dns.families' }],
  ['set-setting', { name: '__proto__', value: 1 }],
  ['set-setting', { name: 'a b', value: 1 }],
  ['set-setting', { name: 'edge', value: { toString: 1 } }],
  ['set-setting', { name: 'edge', value: 'x'.repeat(1025) }],
  ['set-setting', { name: 'tunnel.mtu', value: Number.POSITIVE_INFINITY }],
  ['set-choice', { name: 'theme', value: 'red' }],
  ['set-choice', { name: 'version', value: '9' }],
  ['set-choice', { name: 'startAtLogin', value: 'yes' }],
  ['enroll', { link: 'x'.repeat(2049) }],
  ['enroll', { link: 7 }],
  ['use-path', { path: '../../etc' }],
  ['use-path', { path: '' }],
  ['use-path', { path: 'x'.repeat(33) }],
  ['send-feedback', { words: ' ' }],
  ['send-feedback', { words: 'x', diagnostics: undefined }],
  ['send-feedback', { diagnostics: 'x' }],
  ['trust', { ssid: '' }],
  ['trust', { ssid: 'x'.repeat(65) }],
  ['set-lan', { open: 'yes' }],
  ['set-lan', { open: true, forMs: 1 }],
  ['set-lan', { open: true, forMs: Number.NaN }],
  ['add-split', { kind: 'program', target: '1', mode: 'exclude' }],
  ['add-split', { kind: 'ip', target: '', mode: 'exclude' }],
  ['remove-split', { kind: 'ip', target: '10.0.0.1' }],
  ['save-diagnostics', { text: 'x'.repeat(1024 * 1024 + 1) }],
  ['constructor', {}],
  ['toString', {}],
  ['__proto__', {}],
  ['shutdown', {}],
];

test.each(fine)('lets %s with %j through as it is', (name, fields) => {
  expect(parseWish(name, fields)).toEqual({ name, fields });
});

test.each(refused)('refuses %s with %j', (name, fields) => {
  expect(parseWish(name, fields)).toBeUndefined();
});

test('never throws, and lets through only what it was given', () => {
  const names = fc.oneof(fc.constantFrom(...fine.map(([name]) => name)), fc.anything());
  fc.assert(
    fc.property(names, fc.oneof(fc.object(), fc.anything()), (name, fields) => {
      const wish = parseWish(name, fields);
      if (wish === undefined) return;
      expect(wish.name).toBe(name);
      expect(Object.keys(wish.fields)).toEqual(expect.arrayContaining(Object.keys(fields as object)));
    }),
    { seed: 13, numRuns: 500 },
  );
});
