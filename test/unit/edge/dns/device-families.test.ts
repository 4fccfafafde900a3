import { expect, test } from 'vitest';
import { DeviceFamilies } from '../../../../edge/dns/device-families.ts';

test('knows what a device chose, until it chose otherwise or is gone', () => {
  const families = new DeviceFamilies([{ name: 'child', families: 'full' }, { name: 'laptop' }]);

  const before = ['child', 'laptop', 'nobody'].map((name) => families.familyOf(name));
  families.set([{ name: 'laptop', families: 'malware' }]);
  const after = ['child', 'laptop'].map((name) => families.familyOf(name));

  expect(before).toEqual(['full', undefined, undefined]);
  expect(after).toEqual([undefined, 'malware']);
});
