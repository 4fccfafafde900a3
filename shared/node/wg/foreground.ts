/** The life of culvert-wg: tunnel up, configuration socket up, wait for an end, everything down. */

import { CulvertError } from '../../core/control/codes.ts';
import { startTunnelThread } from '../dataplane/thread-link.ts';
import { programLog } from '../log.ts';
import { serveUapi } from '../uapi/uapi-socket.ts';
import { testOptions } from './test-options.ts';

const defaultMtu = 1420;

/** Runs until the interface or the socket goes, or a signal asks. `ready('')` once `wg` can talk to us. */
export async function runForeground(interfaceName: string, ready: (text: string) => void): Promise<number> {
  const log = programLog({ name: 'culvert-wg', level: process.env['LOG_LEVEL'] });
  const signals = new Promise<string>((resolve) => {
    process.once('SIGTERM', () => resolve('signal'));
    process.once('SIGINT', () => resolve('signal'));
  });
  const backend = await startTunnelThread({
    entry: new URL('./packet-thread.ts', import.meta.url),
    interfaceName,
    mtu: defaultMtu,
    log,
    ...testOptions(process.env),
  });
  const tunnelEnd = new Promise<string>((resolve) => {
    backend.onEnd((why, detail) => {
      if (why === 'failed') log.error('the packet worker failed', { detail });
      resolve(why);
    });
  });
  let socketGone: (why: string) => void = () => {};
  const socketEnd = new Promise<string>((resolve) => {
    socketGone = resolve;
  });
  try {
    const server = await serveUapi({ interfaceName, backend, onGone: () => socketGone('socket') });
    try {
      log.info('ready', { interface: interfaceName });
      ready('');
      const why = await Promise.race([signals, tunnelEnd, socketEnd]);
      log.info('ending', { why });
      if (why === 'failed') throw new CulvertError('internal', { text: 'The packet worker failed.' });
      return 0;
    } finally {
      await server.close();
    }
  } finally {
    await backend.stop();
  }
}
