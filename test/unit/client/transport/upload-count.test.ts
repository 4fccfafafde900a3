/** What of an upload arrives: our count beside that of a pretended edge. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { Connected } from '../../../../client/connection/state.ts';
import { UploadCount } from '../../../../client/transport/upload-count.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import type { PeerStatus } from '../../../../shared/core/tunnel/config.ts';

const kilo = 1400;
const connectedTo = (edge: string): Connected => ({
  kind: 'connected',
  reach: 'device',
  edge,
  endpoints: [],
  provenAt: monoMs(0),
});
const home = connectedTo('home');

let sent: number;
let arrived: number | undefined;
let opened: number;
let closed: number;
let count: UploadCount;
/** Done before our own count is told. */
let meanwhile: () => void;

beforeEach(() => {
  sent = 100 * kilo;
  arrived = 7 * kilo;
  opened = 0;
  closed = 0;
  meanwhile = () => undefined;
  count = new UploadCount({
    statusOf: async () => {
      meanwhile();
      return { peers: [{ txBytes: sent } as PeerStatus] };
    },
    open: () => {
      opened++;
      return { ask: async () => arrived, close: () => void closed++ };
    },
  });
});

describe('the count of an upload', () => {
  it('begins with nothing lost, whatever was sent before', async () => {
    expect(await count.look(home)).toEqual({ rxBytes: 7 * kilo, received: 7, lost: 0 });
  });

  it('is what the edge has, and what it has not of what was sent since', async () => {
    await count.look(home);
    sent += 10 * kilo;
    arrived = 13 * kilo;

    expect(await count.look(home)).toEqual({ rxBytes: 13 * kilo, received: 13, lost: 4 });
  });

  it('opens nothing where a rest came while it looked: a connection would stay', async () => {
    meanwhile = () => count.rest();

    expect([await count.look(home), opened]).toEqual([undefined, 0]);
  });

  it('takes back what was only under way', async () => {
    await count.look(home);
    sent += 10 * kilo;
    await count.look(home);
    arrived = 17 * kilo;

    expect(await count.look(home)).toMatchObject({ lost: 0 });
  });

  it.each([
    ['the edge forgot what it counted', () => void (arrived = 0)],
    ['the tunnel is another one', () => void (sent = 0)],
  ])('begins anew where %s', async (_why, change) => {
    await count.look(home);
    sent += 10 * kilo;
    await count.look(home);
    change();

    expect(await count.look(home)).toMatchObject({ lost: 0 });
  });

  it('begins anew at another edge', async () => {
    await count.look(home);
    sent += 10 * kilo;

    expect(await count.look(connectedTo('other'))).toMatchObject({ lost: 0 });
  });

  it('says nothing where the edge does not', async () => {
    arrived = undefined;

    expect(await count.look(home)).toBeUndefined();
  });

  it('asks over one connection, and closes it to rest', async () => {
    await count.look(home);
    await count.look(home);
    count.rest();
    count.rest();

    expect([opened, closed]).toEqual([1, 1]);
  });
});
