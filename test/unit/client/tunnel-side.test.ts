import { expect, test } from 'vitest';
import { defaultSettings } from '../../../client/settings/schema.ts';
import { makeTunnels, type TunnelSideParts } from '../../../client/tunnel-side.ts';
import { silentLog } from '../../../shared/node/silent-log.ts';

test('a kernel that was asked for is not started for TLS, which it cannot be carried in', async () => {
  const current = { ...defaultSettings, transport: 'tls', 'tunnel.backend': 'kernel' };
  const parts = { settings: { current }, edges: { list: () => [] }, splitParts: {}, log: silentLog };
  const { early } = makeTunnels(parts as unknown as TunnelSideParts, { onUnanswered: () => undefined });

  await expect(early.start('culvert0', 1420, false)).rejects.toMatchObject({ code: 'no-tls-way' });
});
