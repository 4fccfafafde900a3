/**
 * The asking side of WireGuard's configuration protocol over a socket (wireguard.com/xplatform): for
 * any userspace implementation, ours included.
 */

import { connect } from 'node:net';
import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import { formatSet, getRequest } from '../../core/uapi/codec.ts';
import { maxReplyBytes, parseReply } from '../../core/uapi/reply.ts';

export const uapiTimeoutMs = 10_000;

/** Sends one request, whole with its closing empty line, and returns the reply as it came. */
export function uapiRequest(path: string, text: string, timeoutMs: number = uapiTimeoutMs): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = connect(path, () => socket.write(text, 'latin1'));
    const fail = (error: CulvertError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(unanswered(path, 'timeout')), timeoutMs);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxReplyBytes) fail(unanswered(path));
      else if (endsMessage(chunks)) {
        clearTimeout(timer);
        socket.destroy();
        resolve(Buffer.concat(chunks).toString('latin1'));
      }
    });
    socket.on('close', () => fail(unanswered(path)));
    socket.on('error', (cause: NodeJS.ErrnoException) => fail(unreachableSocket(path, cause)));
  });
}

/** The status of the tunnel behind a socket. */
export async function uapiStatus(path: string): Promise<DeviceStatus> {
  return understand(path, await uapiRequest(path, getRequest));
}

/** Changes the tunnel behind a socket. Throws 'command-failed' with `errno` where it refuses. */
export async function uapiConfigure(path: string, change: DeviceChange): Promise<void> {
  understand(path, await uapiRequest(path, formatSet(change)));
}

function understand(path: string, text: string): DeviceStatus {
  const reply = parseReply(text);
  if (reply.kind === 'status') return reply.status;
  if (reply.kind === 'malformed') throw unanswered(path);
  const errno = Math.abs(reply.errno);
  throw new CulvertError('command-failed', {
    text: `The tunnel at ${path} refused (error ${errno}).`,
    errno,
  });
}

function endsMessage(chunks: readonly Buffer[]): boolean {
  const last = chunks.at(-1);
  const tail = last?.length === 1 ? Buffer.concat(chunks.slice(-2)) : last;
  return tail !== undefined && tail.length >= 2 && tail.at(-1) === 0x0a && tail.at(-2) === 0x0a;
}

function unanswered(path: string, code: 'timeout' | 'command-failed' = 'command-failed'): CulvertError {
  const text = `The program behind ${path} gave no proper answer.`;
  return new CulvertError(code, { text, remedy: 'Restart that tunnel.' });
}

function unreachableSocket(path: string, cause: NodeJS.ErrnoException): CulvertError {
  const errno = Math.abs(cause.errno ?? 5);
  if (cause.code === 'EACCES' || cause.code === 'EPERM')
    return new CulvertError('not-root', { cause, errno });
  const text = `No tunnel answers at ${path}.`;
  return new CulvertError('command-failed', { text, remedy: 'See: wg show interfaces', cause, errno });
}
