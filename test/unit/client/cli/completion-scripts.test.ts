// The scripts as their shells see them: bash runs ours for real.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { type CommandWords, completionScript } from '../../../../client/cli/completion-scripts.ts';

const tree: CommandWords = {
  name: 'culvert',
  text: '',
  options: ['--version'],
  children: [
    { name: 'connect', text: "turn it on, don't wait", options: ['--wait', '--json'], children: [] },
    {
      name: 'dns',
      text: 'names',
      options: [],
      children: [{ name: 'families', text: 'filter', options: ['--json'], children: [] }],
    },
  ],
};

/** What bash would offer behind these words. */
function offered(...words: readonly string[]): readonly string[] {
  const script = `${completionScript('bash', tree)}
COMP_WORDS=(culvert ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}
_culvert; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  if (status !== 0) throw new Error('bash refused the script');
  return stdout.split('\n').filter((line) => line !== '');
}

test.each([
  [[''], ['connect', 'dns', '--version']],
  [['c'], ['connect']],
  [
    ['connect', '--'],
    ['--wait', '--json'],
  ],
  [['dns', ''], ['families']],
  [['dns', 'families', '--j'], ['--json']],
  [['connect', '--wait', '--j'], ['--json']],
  [['exec', '--', 'curl', ''], []],
])('behind %j bash offers %j', (words, expected) => {
  expect(offered(...words)).toEqual(expected);
});

test('fish gets every command with its words, quotes escaped', () => {
  const script = completionScript('fish', tree);

  expect(script).toContain("-a 'connect' -d 'turn it on, don\\'t wait'");
  expect(script).toContain("'__fish_seen_subcommand_from dns' -a 'families'");
});

test('zsh is told to read the script of bash', () => {
  expect(completionScript('zsh', tree)).toMatch(/^#compdef culvert\nautoload.*bashcompinit/);
});
