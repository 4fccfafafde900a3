// A network that throttles what goes up over UDP, and nothing else: somebody uploads from a laptop whose whole traffic is in
// the tunnel, and the tunnel leaves UDP. What comes down is not slowed, so this end alone would never know.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { LabStage } from '../../client/lab/stage.ts';
import { places } from '../../client/lab/world.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { describeWith } from '../support/requires.ts';

const kilobytes = 20;
const patience = { timeout: 60_000, interval: 100 };
/** Sends without an end, as fast as it goes. */
const uploader = `const asked = require('node:http').request({ host: ${JSON.stringify(places.web)}, method: 'POST', agent: false });
const block = Buffer.alloc(65536);
const pour = () => { while (asked.write(block)); asked.once('drain', pour); };
asked.on('error', ({ code }) => console.log('ended ' + code));
asked.once('socket', (socket) => socket.once('connect', () => console.log('open')));
pour();`;

describeWith({ namespaces: true, tools: ['ip', 'nft'] }, 'a network that throttles uploads alone', () => {
  let stage: LabStage | undefined;
  let upload: Child | undefined;

  afterAll(async () => {
    await upload?.end();
    await stage?.clear();
  }, 60_000);

  async function throttle(isOn: boolean): Promise<void> {
    const rule = `iifname { "up0", "up1" } meta l4proto udp limit rate over ${kilobytes} kbytes/second burst 16 kbytes drop`;
    const chain = `table inet upload { chain f { type filter hook forward priority 0; ${rule}; }; }\n`;
    const stdin = `add table inet upload\ndelete table inet upload\n${isOn ? chain : ''}`;
    await stage?.world.router.run('nft', ['-f', '-'], { stdin });
  }

  test('the tunnel goes on inside TLS while somebody uploads, and says why', async () => {
    await upload?.end();
    await stage?.clear();
    const made = await LabStage.build('tunnel');
    stage = made;
    await made.start();
    await throttle(true);
    await made.control.call('connect', {});
    const until = (wanted: Record<string, unknown>): Promise<void> =>
      vi.waitFor(async () => expect(await made.control.call('status')).toMatchObject(wanted), patience);
    await until({ state: 'connected', edge: { transport: 'udp' } });

    upload = await made.world.laptop.start('the upload', [process.execPath, '-e', uploader]);
    await upload.waitFor(/^open$/m, patience.timeout);
    const begun = performance.now();
    await until({ edge: { transport: 'tls' } });
    const leftMs = performance.now() - begun;
    await vi.waitFor(async () => {
      const { health } = await made.control.call('status');
      expect(health.map(({ code }) => code)).toContain('udp-slow');
    }, patience);
    process.stdout.write(`\nthrottled upload: UDP left after ${Math.round(leftMs)} ms\n`);

    expect(leftMs).toBeLessThan(50_000);
    // The trial is over, and TLS has kept it.
    const path = join(made.world.folder, 'client', 'daemon.log');
    await vi.waitFor(() => expect(readFileSync(path, 'utf8')).toContain('keep-tls'), patience);
    expect(await made.control.call('status')).toMatchObject({
      state: 'connected',
      edge: { transport: 'tls' },
    });
  }, 240_000);
});
