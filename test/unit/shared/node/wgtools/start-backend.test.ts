import { describe, expect, it } from 'vitest';
import type { TunnelBackend } from '../../../../../shared/node/dataplane/messages.ts';
import type { TunnelThreadOptions } from '../../../../../shared/node/dataplane/thread-link.ts';
import type { Run } from '../../../../../shared/node/run.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';
import { startBackend } from '../../../../../shared/node/wgtools/start-backend.ts';

function fakeRun(linkAdd: { readonly exitCode: number; readonly stderr: string }): {
  run: Run;
  calls: string[];
} {
  const calls: string[] = [];
  const run: Run = async (program, parameters) => {
    calls.push([program, ...parameters].join(' ').replaceAll(/cvt[0-9a-f]+/g, 'NAME'));
    return parameters.includes('add') ? { ...linkAdd, stdout: '' } : { exitCode: 0, stdout: '', stderr: '' };
  };
  return { run, calls };
}

const options = {
  entry: new URL('./nothing.ts', import.meta.url),
  interfaceName: 'cvk0',
  mtu: 1420,
  log: silentLog,
};

describe('the choice between userspace and kernel', () => {
  it('takes the kernel where a throwaway interface can be made, and leaves none behind', async () => {
    const { run, calls } = fakeRun({ exitCode: 0, stderr: '' });

    const backend = await startBackend({ ...options, choice: 'auto', run });

    expect(backend.kind).toBe('kernel');
    expect(calls).toEqual([
      'ip link add dev NAME type wireguard',
      'ip link del dev NAME',
      'ip link add dev cvk0 type wireguard',
    ]);
  });

  it('starts one in userspace as it was told to, where there is no kernel', async () => {
    const { run } = fakeRun({ exitCode: 2, stderr: 'Error: Unknown device type.\n' });
    const started: string[] = [];
    const startThread = async ({ interfaceName }: TunnelThreadOptions): Promise<TunnelBackend> => {
      started.push(interfaceName);
      return { kind: 'userspace' } as TunnelBackend;
    };

    await startBackend({ ...options, choice: 'auto', run, startThread });
    await startBackend({ ...options, choice: 'userspace', run, startThread });

    expect(started).toEqual(['cvk0', 'cvk0']);
  });

  it('says so where the kernel was asked for and has no WireGuard', async () => {
    const { run } = fakeRun({ exitCode: 2, stderr: 'Error: Unknown device type.\n' });

    await expect(startBackend({ ...options, choice: 'kernel', run })).rejects.toMatchObject({
      code: 'no-kernel-wireguard',
    });
  });
});
