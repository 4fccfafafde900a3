/** A Log for the packet worker: notes travel to the main thread as messages. Rare by contract. */

import type { Log } from '../../core/base/ports.ts';
import type { FromWorker } from './messages.ts';

export function threadLog(send: (message: FromWorker) => void): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error'): Log['info'] =>
    (text, fields) => {
      send({ kind: 'log', level, text, fields: fields ?? {} });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
