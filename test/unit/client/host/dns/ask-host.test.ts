// Whose DNS is it? What is asked of programs, and what was asked a moment ago.
import { expect, test } from 'vitest';
import { askHost, askPrograms } from '../../../../../client/host/dns/ask-host.ts';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import type { Run } from '../../../../../shared/node/run.ts';

function world(missing: readonly string[] = []) {
  const asked: string[] = [];
  const run: Run = async (program) => {
    asked.push(program);
    if (missing.includes(program)) throw new CulvertError('tool-missing');
    return { exitCode: 0, stdout: '', stderr: '' };
  };
  const files = {
    look: () => ({ kind: 'absent' }) as const,
    read: () => 'hosts: files dns\n',
  };
  return { asked, run, questions: { files: files as never, run, etc: '/etc' } };
}

test('both programs are asked, and one that is missing is not the owner', async () => {
  const { asked, run } = world(['resolvconf']);

  const programs = await askPrograms(run);

  expect(asked.toSorted()).toEqual(['busctl', 'resolvconf']);
  expect(programs).toEqual({ resolvedAnswers: true, hasResolvconf: false });
});

test('what was asked a moment ago is not asked again, and the files are read now', async () => {
  const { asked, questions } = world();
  const programs = Promise.resolve({ resolvedAnswers: false, hasResolvconf: true });

  const facts = await askHost('auto', questions, programs);

  expect(asked).toEqual([]);
  expect(facts).toMatchObject({
    resolvedAnswers: false,
    hasResolvconf: true,
    hostsSources: ['files', 'dns'],
  });
});
