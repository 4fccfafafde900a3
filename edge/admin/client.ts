/** Asks a running edge through its control socket. */

import { CulvertError, type ErrorCode, errorCodes } from '../../shared/core/control/codes.ts';
import { request } from '../../shared/node/http.ts';
import { type OutsideAnswer, outsidePatienceMs } from '../doctor/outside.ts';
import type { PathsAnswer, PathsQuestion } from '../egress/paths-question.ts';
import type { EdgeStatus } from './status.ts';

const answerTimeoutMs = 5000;
const maxAnswerBytes = 64 * 1024 * 1024;

/** Throws 'edge-not-running' where nobody answers. */
export async function askStatus(socketPath: string): Promise<EdgeStatus> {
  return JSON.parse(await ask(socketPath, 'GET', '/v1/status')) as EdgeStatus;
}

/** Throws what the edge found in its configuration, or 'edge-not-running'. */
export async function askReload(socketPath: string): Promise<void> {
  await ask(socketPath, 'POST', '/v1/reload');
}

/** Throws 'unknown-path', or 'edge-not-running'. */
export async function askPaths(socketPath: string, question: PathsQuestion): Promise<PathsAnswer> {
  return JSON.parse(await ask(socketPath, 'POST', '/v1/paths', question)) as PathsAnswer;
}

/** What a device reaches of the edge from where it is. Takes some seconds. Throws 'edge-not-running'. */
export async function askOutside(socketPath: string): Promise<OutsideAnswer> {
  const text = await ask(socketPath, 'POST', '/v1/outside', {}, outsidePatienceMs + answerTimeoutMs);
  return (JSON.parse(text) as { readonly answer: OutsideAnswer }).answer;
}

/** Makes a running edge follow its store now; nothing where none runs. Never rejects: it also looks by itself. */
export async function askToLook(socketPath: string): Promise<void> {
  await ask(socketPath, 'POST', '/v1/look').catch(() => undefined);
}

/** True where a running edge answers on the socket. */
export async function answers(socketPath: string): Promise<boolean> {
  try {
    await ask(socketPath, 'GET', '/v1/status');
    return true;
  } catch (cause) {
    // Any answer, also a refusal, comes from somebody who is alive.
    return !(cause instanceof CulvertError && cause.code === 'edge-not-running');
  }
}

async function ask(
  ...[socketPath, method, path, body, timeoutMs = answerTimeoutMs]: readonly [
    string,
    'GET' | 'POST',
    string,
    unknown?,
    number?,
  ]
): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const asked = request({ socketPath, method, path, headers, timeout: timeoutMs }, (response) => {
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
        else reject(refusal(text, response.statusCode));
      });
    });
    asked.on('timeout', () =>
      asked.destroy(new CulvertError('timeout', { text: 'The edge does not answer.' })),
    );
    asked.on('error', (cause) => reject(explain(cause, socketPath)));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The edge's own words, where it has any. */
function refusal(text: string, status: number | undefined): CulvertError {
  try {
    const { code, text: sentence, remedy } = JSON.parse(text) as Record<string, string>;
    if (code !== undefined && Object.hasOwn(errorCodes, code) && sentence !== undefined) {
      return new CulvertError(code as ErrorCode, {
        text: sentence,
        ...(remedy === undefined ? {} : { remedy }),
      });
    }
  } catch {
    // Not ours: told by its status.
  }
  return new CulvertError('internal', { text: `The edge answered ${status}.` });
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
