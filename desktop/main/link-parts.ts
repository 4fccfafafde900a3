// The real sockets and the real clock for `DaemonLink`.
import { candidateSockets, ownAccount, statusSocketBeside } from '../../shared/node/control/places.ts';
import { ControlClient } from '../../shared/node/control/socket-client.ts';
import type { LinkParts, Place } from './daemon-link.ts';

/** Our own daemon, then the system's; or the one that was named. */
export function placesToLook(socket: string | undefined): readonly Place[] {
  const sockets = socket === undefined ? candidateSockets(ownAccount()) : [socket];
  return sockets.map((control) => ({ control, status: statusSocketBeside(control) }));
}

export function realLinkParts(socket: string | undefined): Omit<LinkParts, 'onChange'> {
  return { places: placesToLook(socket), connect: (path) => new ControlClient(path), wait };
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
