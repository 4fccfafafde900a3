import { expect, test, vi } from 'vitest';
import { hold } from '../../../../shared/node/hold.ts';

/** A shell that does as it is told. */
const shell = (onEnd?: () => void) =>
  hold('sh', ['-s'], onEnd === undefined ? { timeoutMs: 5000 } : { timeoutMs: 5000, onEnd });

test('waits for what the program says, however it comes in pieces', async () => {
  const program = shell();

  await program.ask('printf one; sleep 0.05; echo two\n', /onetwo/);
  await program.ask('echo three\n', /three/);

  await program.close();
});

test('rejects where the program complains, ends, or cannot be started', async () => {
  const complaining = shell();
  await expect(complaining.ask('echo no >&2\n', /yes/)).rejects.toMatchObject({
    code: 'command-failed',
    message: 'sh: no',
  });
  await complaining.close();

  const ending = shell();
  await expect(ending.ask('exit\n', /yes/)).rejects.toMatchObject({ message: 'sh: ended' });
  await expect(ending.ask('echo yes\n', /yes/)).rejects.toMatchObject({ message: 'sh: ended' });

  const missing = hold('culvert-no-such-program', []);
  await expect(missing.ask('', /yes/)).rejects.toMatchObject({ code: 'command-failed' });
});

test('says when the program ends by itself, and not when it was told to', async () => {
  const onEnd = vi.fn();
  const closed = shell(onEnd);
  await closed.ask('echo here\n', /here/);

  await closed.close();
  const afterClose = onEnd.mock.calls.length;
  const alone = shell(onEnd);
  await alone.ask('exit\n', /x/).catch(() => undefined);
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce());
  await alone.close();

  expect(afterClose).toBe(0);
});
