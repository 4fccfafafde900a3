// What a worker loads before its first packet: each package costs every tunnel milliseconds of start and megabytes.
import { expect, test } from 'vitest';
import { allFiles, importsOf } from './tree.ts';

const threads = allFiles().filter((path) =>
  /^(client|edge|shared)\/.*\/?(packet|flow|udp)-thread\.ts$/.test(path),
);
const packages: readonly string[] = [
  '@stablelib/blake2s',
  '@stablelib/chacha20poly1305',
  '@stablelib/x25519',
  '@stablelib/xchacha20poly1305',
];
/** Fewer files than this means that the reader is broken. */
const fewestFiles = 20;

/** All files that loading one brings along. */
function loadedBy(path: string, found: Set<string> = new Set()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const one of importsOf(path)) {
    if (!one.typeOnly && one.written.startsWith('.')) loadedBy(one.target, found);
  }
  return found;
}

test('the workers are found', () => {
  expect(threads).toContain('client/packet-thread.ts');
  expect(threads.length).toBeGreaterThan(4);
});

test.each(threads)('%s loads packages of cryptography and no other', (path) => {
  const files = [...loadedBy(path)];
  const loaded = files.flatMap((file) =>
    importsOf(file).filter(({ typeOnly, written }) => !typeOnly && !/^(\.|node:)/.test(written)),
  );

  expect(files.length).toBeGreaterThan(fewestFiles);
  expect(loaded.map(({ written }) => written).filter((one) => !packages.includes(one))).toEqual([]);
});
