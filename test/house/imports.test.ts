// Direction of imports: the tables of rooms.ts held against every import line of the tree.
import { describe, expect, test } from 'vitest';
import {
  corePackages,
  coreRooms,
  directions,
  leaves,
  nodeRooms,
  partOf,
  roomOf,
  typeOnlyParts,
} from './rooms.ts';
import { type Import, importsIn, importsOf, sources } from './tree.ts';

/** Fewer than this means that the reader is broken, not that the tree is clean. */
const fewestFiles = 30;

const files = sources('shared', 'client', 'edge', 'desktop');

function violations(path: string, one: Import): string[] {
  const found: string[] = [];
  const say = (why: string): void => void found.push(`${path} imports ${one.written}: ${why}`);
  const part = partOf(path);
  if (part === undefined) return found;
  const relative = one.written.startsWith('.');
  if (relative) {
    if (one.target.startsWith('test/')) say('nobody imports test');
    const allowed = [`${part}/`, ...(directions[part] ?? [])];
    if (!allowed.some((prefix) => one.target.startsWith(prefix)))
      say(`${part} may import ${allowed.join(', ')}`);
    if (typeOnlyParts.includes(part) && one.target.startsWith('shared/') && !one.typeOnly) say('types only');
    if (!/\.(ts|tsx|mjs|json)$/.test(one.target)) say('write the extension');
    if (/(^|\/)index\.\w+$/.test(one.target)) say('no barrels');
    const importers = leaves[one.target];
    if (importers !== undefined && !importers.includes(path)) say('a composition root is a leaf');
  } else if (part === 'shared/core' && !corePackages.some((allowed) => allowed.test(one.written))) {
    say('pure code uses @stablelib and TypeBox, nothing else');
  } else if (typeOnlyParts.includes(part) && one.written.startsWith('node:')) {
    say('the window has no Node');
  }
  found.push(...orderViolations(path, one));
  return found;
}

/** shared/core and shared/node are lists: a room sees what stands before it. */
function orderViolations(path: string, one: Import): string[] {
  const order = path.startsWith('shared/core/') ? coreRooms : nodeRooms;
  const floor = path.startsWith('shared/core/') ? 'shared/core/' : 'shared/node/';
  if (!path.startsWith(floor) || !one.target.startsWith(floor)) return [];
  const from = order.indexOf(roomOf(path) ?? '');
  const to = order.indexOf(roomOf(one.target) ?? '');
  if (from === -1) return [`${path}: its room is not in the list of test/house/rooms.ts`];
  if (to > from || to === -1)
    return [`${path} imports ${one.written}: ${floor} rooms see only rooms listed before them`];
  return [];
}

/** Re-exports hide where a thing lives: allowed inside one room at most. */
function reExports(path: string): string[] {
  const room = path.slice(0, path.lastIndexOf('/') + 1);
  return importsOf(path)
    .filter((one) => one.isExport && !one.target.startsWith(room))
    .map((one) => `${path} re-exports ${one.written}`);
}

describe('the direction of imports', () => {
  test('is read from a real tree', () => {
    const lines = files.reduce((sum, path) => sum + importsOf(path).length, 0);

    expect(files.length).toBeGreaterThan(fewestFiles);
    expect(lines).toBeGreaterThan(fewestFiles);
  });

  test('follows the tables of rooms.ts', () => {
    const found = files.flatMap((path) => importsOf(path).flatMap((one) => violations(path, one)));

    expect(found).toEqual([]);
  });

  test('knows every room of the shared floors', () => {
    const unknown = files
      .filter((path) => path.startsWith('shared/core/') || path.startsWith('shared/node/'))
      .filter(
        (path) => !(path.startsWith('shared/core/') ? coreRooms : nodeRooms).includes(roomOf(path) ?? ''),
      );

    expect(unknown).toEqual([]);
  });

  test('has no re-exports across rooms', () => {
    expect(files.flatMap(reExports)).toEqual([]);
  });

  test.each<[string, string, boolean]>([
    ['shared/core/base/a.ts', "import { x } from '../session/b.ts';", false],
    ['shared/core/session/a.ts', "import { x } from '../base/b.ts';", true],
    ['shared/core/session/a.ts', "import fs from 'node:fs';", false],
    ['shared/core/session/a.ts', "import {\n  a,\n  b,\n} from '../../node/clock.ts';", false],
    ['shared/core/crypto/a.ts', "import { x } from '@stablelib/x25519';", true],
    ['shared/node/udp/a.ts', "import { x } from '../log.ts';", true],
    ['shared/node/log.ts', "import { x } from './udp/a.ts';", false],
    ['shared/node/udp/a.ts', "export { x } from '../../../client/a.ts';", false],
    ['client/a.ts', "import { x } from './daemon.ts';", false],
    ['client/main.ts', "const d = await import('./daemon.ts');", true],
    ['client/a.ts', "import '../edge/b.ts';", false],
    ['client/a.ts', "import { x } from '../test/support/requires.ts';", false],
    ['client/a.ts', "import { x } from './host';", false],
    ['desktop/main/a.ts', "import { x } from '../../shared/core/tunnel/a.ts';", false],
    ['desktop/view/a.ts', "import { x } from '../../shared/core/control/a.ts';", false],
    ['desktop/view/a.ts', "import type { x } from '../../shared/core/control/a.ts';", true],
    ['desktop/view/a.ts', "import type { x } from 'node:net';", false],
  ])('judges, in %s, the line %j: %s', (path, line, fine) => {
    const found = importsIn(path, line).flatMap((one) => violations(path, one));

    expect(importsIn(path, line)).toHaveLength(1);
    expect(found.length === 0).toBe(fine);
  });
});
