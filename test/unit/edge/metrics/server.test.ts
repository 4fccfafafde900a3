/** The pages for those who watch an edge. */

import { afterEach, describe, expect, test } from 'vitest';
import type { EdgeStatus } from '../../../../edge/admin/status.ts';
import { serveMetrics } from '../../../../edge/metrics/server.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

/** Another one for each test: kept connections would lead to the server before. */
let port = 21_000 + (process.pid % 9000);
const device = { id: 'x', name: 'laptop', lastSeen: null, rxBytes: 5, txBytes: 7 };
let status: () => Promise<EdgeStatus>;
let end: (() => Promise<void>) | undefined;

function statusWith(changes: object): EdgeStatus {
  return {
    version: '1',
    egress: { backend: 'kernel', flows: null },
    listen: { udp: [51820], https: [] },
    devices: [device],
    enrolled: 1,
    drops: { replayed: 3 },
    paths: [],
    certificate: { kind: 'self-signed', expiresAt: null },
    activity: { handshakes: 0, listeners: 0, requests: {} },
    ...changes,
  } as unknown as EdgeStatus;
}

async function ask(path: string, method = 'GET'): Promise<readonly [number, string]> {
  const reply = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return [reply.status, await reply.text()];
}

async function begin(): Promise<void> {
  port++;
  end = await serveMetrics({ host: '127.0.0.1', port }, { status: () => status(), log: silentLog });
}

afterEach(async () => {
  await end?.();
  end = undefined;
});

describe('the numbers of an edge', () => {
  test('only rise, and name no device', async () => {
    status = () => Promise.resolve(statusWith({}));
    await begin();
    expect((await ask('/metrics'))[1]).toMatch(/^culvert_bytes_total\{direction="to_devices"\} 7$/m);
    status = () => Promise.resolve(statusWith({ devices: [{ ...device, txBytes: 2 }] }));
    await ask('/metrics');
    status = () => Promise.resolve(statusWith({ devices: [{ ...device, txBytes: 4 }] }));

    const [, text] = await ask('/metrics');

    expect(text).toMatch(/^culvert_bytes_total\{direction="to_devices"\} 9$/m);
    expect(text).toMatch(/^culvert_drops_total\{reason="replayed"\} 3$/m);
    expect(text).toMatch(/^culvert_peers\{state="configured"\} 1$/m);
    expect(text).not.toContain('laptop');
  });

  test('tell which path is chosen, what goes by it and how often that moved', async () => {
    const path = {
      id: 'fra',
      type: 'direct',
      state: 'good',
      trouble: null,
      isDefault: true,
      sharePercent: 75,
    };
    const seen = (bytes: number, switches: number) => () =>
      Promise.resolve(statusWith({ paths: [{ ...path, bytes, switches }] }));
    status = seen(1000, 1);
    await begin();
    await ask('/metrics');
    status = seen(1500, 3);

    const [, text] = await ask('/metrics');

    for (const line of [
      'culvert_path_usual{path="fra"} 1',
      'culvert_path_share_ratio{path="fra"} 0.75',
      'culvert_path_state{path="fra",state="good"} 1',
      'culvert_path_state{path="fra",state="down"} 0',
      'culvert_path_bytes_total{path="fra"} 1500',
      'culvert_path_switches_total{path="fra"} 3',
    ]) {
      expect(text).toContain(`\n${line}\n`);
    }
  });

  test('health is that it answers, readiness that devices can come', async () => {
    status = () => Promise.resolve(statusWith({ listen: { udp: [0], https: [] } }));
    await begin();
    expect(await ask('/healthz')).toEqual([200, 'ok\n']);
    expect(await ask('/readyz')).toEqual([503, 'no UDP port is open\n']);
    status = () => Promise.reject(new Error('gone'));
    expect(await ask('/readyz')).toEqual([503, 'the tunnel does not answer\n']);
    expect((await ask('/healthz', 'POST'))[0]).toBe(405);
    expect((await ask('/secrets'))[0]).toBe(404);
  });
});
