import { describe, expect, test } from 'vitest';
import { firstLine, run } from '../../../../shared/node/run.ts';

describe('run', () => {
  test('returns what the program wrote', async () => {
    const result = await run('sh', ['-c', 'echo out; echo err >&2']);

    expect(result).toEqual({ exitCode: 0, stdout: 'out\n', stderr: 'err\n' });
  });

  test('passes arguments as they are, without a shell', async () => {
    const { stdout } = await run('printf', ['%s|', 'a b', '$HOME', '; echo x', '']);

    expect(stdout).toBe('a b|$HOME|; echo x||');
  });

  test('gives the input through a file that can be opened again', async () => {
    const text = `päss\n${'x'.repeat(300_000)}`;

    expect((await run('cat', [], { stdin: text })).stdout).toBe(text);
    expect((await run('cat', ['/dev/stdin'], { stdin: text })).stdout).toBe(text);
  });

  test('gives an empty input where there is none', async () => {
    expect((await run('cat', [])).stdout).toBe('');
  });

  test('says in one line what a program complained', async () => {
    const failing = run('sh', ['-c', 'echo "  RTNETLINK answers: File exists" >&2; echo more >&2; exit 2']);

    await expect(failing).rejects.toMatchObject({
      code: 'command-failed',
      errno: 17,
      message: expect.stringMatching(/: RTNETLINK answers: File exists$/),
    });
  });

  test('returns a failure where that is allowed', async () => {
    expect(await run('sh', ['-c', 'exit 3'], { allowFailure: true })).toMatchObject({ exitCode: 3 });
    expect(await run('sh', ['-c', 'kill -9 $$'], { allowFailure: true })).toMatchObject({ exitCode: 137 });
  });

  test('says which program is missing and how to get it', async () => {
    await expect(run('culvert-no-such-program', [])).rejects.toMatchObject({
      code: 'tool-missing',
      message: expect.stringContaining('culvert-no-such-program'),
      remedy: expect.stringContaining('Install'),
    });
  });

  test('ends a program that takes too long, though a child of it holds the output', async () => {
    const slow = run('sh', ['-c', 'sleep 2 & sleep 60'], { timeoutMs: 50 });

    await expect(slow).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining('0.05 s'),
    });
  });

  test('ends a program that writes too much', async () => {
    const loud = run('yes', [], { maxOutputBytes: 10_000 });

    await expect(loud).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining('too much'),
    });
  });

  test('asks for English and adds to the environment', async () => {
    const { stdout } = await run('sh', ['-c', 'echo $LC_ALL $EXTRA'], { env: { EXTRA: 'more' } });

    expect(stdout).toBe('C more\n');
  });
});

describe('firstLine', () => {
  test('skips empty lines and shortens', () => {
    expect(firstLine('\n  \n  a b \nc')).toBe('a b');
    expect(firstLine('x'.repeat(1000))).toHaveLength(300);
    expect(firstLine('')).toBe('');
  });
});
