/**
 * Binds the control API to its two sockets: `control.sock` for those who may command, `status.sock`
 * beside it for those who may look (product.md §5). No logic.
 */

import { readFileSync } from 'node:fs';
import type { Log } from '../../shared/core/base/ports.ts';
import { statusSocketBeside } from '../../shared/node/control/places.ts';
import {
  type ControlServer,
  type SocketAccess,
  serveControl,
} from '../../shared/node/control/socket-server.ts';
import type { Driver } from '../driver/driver.ts';
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

/** Members may command the system's daemon. */
const group = 'culvert';

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
  const gid = isSystem ? groupId(readGroups(), group) : undefined;
  const folderMode = isSystem ? 0o755 : 0o700;
  const access: SocketAccess =
    gid === undefined ? { mode: 0o600, folderMode } : { mode: 0o660, gid, folderMode };
  const control = await serveControl({ path: socket, access, handlers: methods.handlers(), events, log });
  const status = await serveControl({
    path: statusSocketBeside(socket),
    access: { mode: isSystem ? 0o666 : 0o600, folderMode },
    handlers: { status: () => methods.status() },
    log,
  });
  return [control, status];
}

/** Number of a group in the text of /etc/group. */
export function groupId(groups: string, name: string): number | undefined {
  const line = groups.split('\n').find((one) => one.startsWith(`${name}:`));
  const id = Number(line?.split(':')[2]);
  return line === undefined || !Number.isInteger(id) ? undefined : id;
}

function readGroups(): string {
  try {
    return readFileSync('/etc/group', 'utf8');
  } catch {
    return ''; // Without groups only the owner commands.
  }
}
