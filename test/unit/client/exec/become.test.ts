// Finding a program as a shell would, and what the program sees of name resolution.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCommand } from '../../../../client/exec/become.ts';
import { plainHosts } from '../../../../client/exec/mounts.ts';

describe('a command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-become-'));
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const path = `${first}:${second}`;

  beforeAll(() => {
    for (const place of [first, second]) mkdirSync(place);
    mkdirSync(join(first, 'both'));
    for (const name of ['both', 'tool']) {
      writeFileSync(join(second, name), '#!/bin/sh\n');
      chmodSync(join(second, name), 0o755);
    }
    writeFileSync(join(first, 'text'), '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is looked for in the folders of PATH, where folders do not count', () => {
    expect(findCommand('tool', path)).toBe(join(second, 'tool'));
    expect(findCommand('both', path)).toBe(join(second, 'both'));
  });

  test('with a slash is a path', () => {
    expect(findCommand(join(second, 'tool'), '')).toBe(join(second, 'tool'));
  });

  test.each([
    ['', 'command-not-found'],
    ['nowhere', 'command-not-found'],
    ['text', 'command-not-executable'],
    ['./nowhere', 'command-not-found'],
  ])('%j is refused: %s', (name, code) => {
    expect(() => findCommand(name, path)).toThrow(expect.objectContaining({ code }));
  });
});

describe('nsswitch.conf for a program', () => {
  test.each([
    [
      'passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\nnetworks: files\n',
      'passwd: files\nnetworks: files\n',
    ],
    ['  hosts :mdns4\n', ''],
    ['', ''],
    ['# hosts: nothing', '# hosts: nothing\n'],
  ])('asks DNS for hosts and nobody else: %j', (text, rest) => {
    expect(plainHosts(text)).toBe(`${rest}hosts: files dns\n`);
  });
});
