// The packet worker that is started before the connection asks for it: taken once, and ended where nobody does.
import { beforeEach, describe, expect, test } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { EarlyThread } from '../../../../client/host/early-thread.ts';
import type { TunnelBackend } from '../../../../shared/node/dataplane/messages.ts';
import { beginningState } from '../../../support/connection-states.ts';

const leavingOff: ConnectionState = beginningState;
const preparing: ConnectionState = { ...beginningState, phase: 'preparing', closed: true };
const startingOver: ConnectionState = { ...beginningState, closed: true };

let done: string[] = [];
let fails = false;

function make(): EarlyThread {
  return new EarlyThread({
    start: async (name, mtu) => {
      done.push(`start ${name} ${mtu}`);
      if (fails) throw new Error('no interface');
      const stop = async (): Promise<void> => void done.push(`stop ${name} ${mtu}`);
      return { stop } as TunnelBackend;
    },
    wanted: (edge) => (edge === 'gone' ? undefined : ['culvert0', 1420, false]),
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

beforeEach(() => {
  done = [];
  fails = false;
});

describe('a packet worker that is started early', () => {
  test('is the one that the connection gets, and there is one', async () => {
    const early = make();

    early.handleChange(leavingOff);
    early.handleChange({ ...leavingOff });
    await settle();
    early.handleChange(preparing);
    const before = [...done];
    await early.start('culvert0', 1420, false);
    early.handleChange({ kind: 'off' });
    await settle();

    expect(before).toEqual(['start culvert0 1420']);
    expect(done).toEqual(before);
  });

  test('is ended before another one where it does not fit', async () => {
    const early = make();
    early.handleChange(leavingOff);

    await early.start('culvert0', 1280, false);

    expect(done).toEqual(['start culvert0 1420', 'stop culvert0 1420', 'start culvert0 1280']);
  });

  test('is ended where the connection is given up, and at the end of the daemon', async () => {
    const early = make();
    early.handleChange(leavingOff);
    early.handleChange({ kind: 'off' });
    early.handleChange(leavingOff);
    early.close();
    early.handleChange(leavingOff);
    await settle();

    expect(done).toEqual([
      'start culvert0 1420',
      'stop culvert0 1420',
      'start culvert0 1420',
      'stop culvert0 1420',
    ]);
  });

  test('is not started where a tunnel may stand, for the proxy, or for an edge that is gone', async () => {
    const early = make();

    early.handleChange(startingOver);
    early.handleChange({ ...beginningState, reach: 'proxy' });
    early.handleChange({ ...beginningState, edge: 'gone' });
    await settle();

    expect(done).toEqual([]);
  });

  test('that cannot be started is told to whoever asks for it', async () => {
    const early = make();
    fails = true;
    early.handleChange(leavingOff);
    await settle();

    await expect(early.start('culvert0', 1420, false)).rejects.toThrow('no interface');
  });
});
