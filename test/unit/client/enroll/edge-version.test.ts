// An edge that is newer than this client is said, and only then.
import { expect, test } from 'vitest';
import { EdgeVersions } from '../../../../client/enroll/edge-version.ts';
import { protocolVersion } from '../../../../shared/core/registration/api.ts';

test.each([
  ['a newer edge', protocolVersion + 1, ['edge-newer']],
  ['the same version', protocolVersion, []],
  ['an edge that says nothing', undefined, []],
])('tells of %s', (_title, protocol, wanted) => {
  const versions = new EdgeVersions();

  versions.handleConfig('home', protocol === undefined ? {} : { protocol });

  expect(versions.health('home').map((item) => item.code)).toEqual(wanted);
  expect([versions.health('other'), versions.health(undefined)]).toEqual([[], []]);
});

test('forgets it when the edge went back', () => {
  const versions = new EdgeVersions();
  versions.handleConfig('home', { protocol: protocolVersion + 1 });

  versions.handleConfig('home', { protocol: protocolVersion });

  expect(versions.health('home')).toEqual([]);
});
