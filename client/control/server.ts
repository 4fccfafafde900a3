/**
 * Binds the control API to its two sockets: `control.sock` for those who may command, `status.sock`
 * beside it for those who may look (product.md §5). No logic.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { statusSocketBeside } from '../../shared/node/control/places.ts';
import type { SocketAccess } from '../../shared/node/control/socket-access.ts';
import { type ControlServer, serveControl } from '../../shared/node/control/socket-server.ts';
import type { Driver } from '../driver/driver.ts';
import { systemAccess } from '../host/accounts.ts';
import type { Methods } from './methods.ts';

export interface ServeOptions {
  readonly socket: string;
  /** The system's daemon: others may look, the group may command. */
  readonly isSystem: boolean;
  readonly methods: Methods;
  readonly driver: Driver;
  /** What the user reads changes also when the split tunnel or the open local network does. */
  readonly split?: { onChange(listener: () => void): () => void };
  readonly log: Log;
}

export async function serveDaemon(options: ServeOptions): Promise<readonly ControlServer[]> {
  const { socket, isSystem, methods, driver, split, log } = options;
  const events = {
    status: () => methods.status(),
    onChange: (listener: () => void) => {
      const ends = [driver.onChange(listener), split?.onChange(listener)];
      return () => {
        for (const end of ends) end?.();
      };
    },
  };
  const folderMode = isSystem ? 0o755 : 0o700;
  const access: SocketAccess = isSystem ? systemAccess() : { mode: 0o600, folderMode };
  const control = await serveControl({ path: socket, access, handlers: methods.handlers(), events, log });
  const status = await serveControl({
    path: statusSocketBeside(socket),
    access: { mode: isSystem ? 0o666 : 0o600, folderMode },
    handlers: { status: () => methods.status() },
    log,
  });
  return [control, status];
}
