// Programs that go around the tunnel, on a folder that looks like the cgroup tree.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { groupName, ProgramGroup } from '../../../../client/host/program-group.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Run } from '../../../../shared/node/run.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'culvert-group-'));
  writeFileSync(join(root, 'cgroup.controllers'), '');
});
afterEach(() => rmSync(root, { recursive: true }));

const willing: Run = async () => ({ exitCode: 0, stdout: '', stderr: '' });
const unwilling: Run = async () => {
  throw new CulvertError('command-failed');
};

describe('the group of programs', () => {
  test('has a folder for those that go outside, once there is one', async () => {
    const group = new ProgramGroup(willing, root);
    const before = group.group;

    await group.add(process.pid);

    expect(before).toBeUndefined();
    expect(readFileSync(join(root, groupName, 'cgroup.procs'), 'utf8')).toBe(String(process.pid));
    expect(group.group).toBe(groupName);
    expect(group.list()).toEqual([{ pid: process.pid, name: expect.stringMatching(/./) }]);
  });

  test('sends a program back where it came from', async () => {
    const group = new ProgramGroup(willing, root);
    await group.add(process.pid);

    group.remove(process.pid);

    expect(readFileSync(join(root, 'cgroup.procs'), 'utf8')).toBe(String(process.pid));
    expect(() => group.remove(1)).toThrow(expect.objectContaining({ code: 'unknown-program' }));
  });

  test.each([
    ['the tree is the old one', willing, true],
    ['the firewall does not know groups', unwilling, false],
  ])('says that it cannot where %s', async (_title, run, isOld) => {
    if (isOld) rmSync(join(root, 'cgroup.controllers'));

    const adding = new ProgramGroup(run, root).add(process.pid);

    await expect(adding).rejects.toMatchObject({ code: 'no-program-groups' });
    if (isOld) expect(existsSync(join(root, groupName))).toBe(false);
  });
});
