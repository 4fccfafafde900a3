/** Asks a running edge through its control socket. */

import { request } from 'node:http';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { EdgeStatus } from './status.ts';

const answerTimeoutMs = 5000;
const maxAnswerBytes = 64 * 1024 * 1024;

/** Throws 'edge-not-running' where nobody answers. */
export async function askStatus(socketPath: string): Promise<EdgeStatus> {
  return JSON.parse(await get(socketPath, '/v1/status')) as EdgeStatus;
}

/** True where a running edge answers on the socket. */
export async function answers(socketPath: string): Promise<boolean> {
  try {
    await get(socketPath, '/v1/status');
    return true;
  } catch (cause) {
    // Any answer, also a refusal, comes from somebody who is alive.
    return !(cause instanceof CulvertError && cause.code === 'edge-not-running');
  }
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: answerTimeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) asked.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode === 200) resolve(text);
        else reject(new CulvertError('internal', { text: `The edge answered ${response.statusCode}.` }));
      });
    });
    asked.on('timeout', () =>
      asked.destroy(new CulvertError('timeout', { text: 'The edge does not answer.' })),
    );
    asked.on('error', (cause) => reject(explain(cause, socketPath)));
    asked.end();
  });
}

function explain(cause: Error, socketPath: string): CulvertError {
  if (cause instanceof CulvertError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EACCES') {
    return new CulvertError('not-root', {
      text: `The edge's socket ${socketPath} belongs to another user.`,
      remedy: 'Ask as the user who runs the edge, for example with sudo.',
      cause,
    });
  }
  return new CulvertError('edge-not-running', {
    text: `No edge answers on ${socketPath}.`,
    remedy: 'Start it with culvert-edge run, or name its data directory with --data.',
    cause,
  });
}
