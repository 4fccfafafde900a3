/** The port for those who watch the edge: /metrics, /healthz and /readyz. Reads only; no secrets, no names. */

import type { ServerResponse } from 'node:http';
import type { Log } from '../../shared/core/base/ports.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { createServer } from '../../shared/node/http.ts';
import type { EdgeStatus } from '../admin/status.ts';
import type { ListenPlace } from '../config-listen.ts';
import { EdgeNumbers } from './numbers.ts';

export interface MetricsParts {
  readonly status: () => Promise<EdgeStatus>;
  readonly log: Log;
}

const maxConnections = 64;
const requestTimeoutMs = 10_000;
const plain = 'text/plain; charset=utf-8';

/** Rejects with 'port-in-use' where the port cannot be had. Returns what ends it. */
export async function serveMetrics(place: ListenPlace, parts: MetricsParts): Promise<() => Promise<void>> {
  const numbers = new EdgeNumbers();
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    const path = (request.url ?? '/').replace(/\?.*$/, '');
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    request.resume();
    if (!isRead) answer(response, { status: 405, text: 'Only GET and HEAD.\n', allow: 'GET, HEAD' });
    else void page(path, numbers, parts, response);
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new CulvertError('port-in-use', {
          text: `The port for metrics, ${place.host}:${place.port}, cannot be opened: ${cause.code}.`,
          remedy: 'Name another in listen.metrics of edge.yaml, or write off there.',
          cause,
        }),
      ),
    );
    server.listen(place.port, place.host, resolve);
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

async function page(
  path: string,
  numbers: EdgeNumbers,
  { status, log }: MetricsParts,
  response: ServerResponse,
): Promise<void> {
  try {
    switch (path) {
      case '/healthz':
        return answer(response, { status: 200, text: 'ok\n' });
      case '/readyz': {
        const why = notReady(await status());
        return answer(
          response,
          why === undefined ? { status: 200, text: 'ready\n' } : { status: 503, text: why },
        );
      }
      case '/metrics': {
        const text = await numbers.text(await status(), unixMs(Date.now()));
        return answer(response, { status: 200, text, type: numbers.contentType });
      }
      default:
        return answer(response, { status: 404, text: 'There are /metrics, /healthz and /readyz.\n' });
    }
  } catch (cause) {
    log.debug('a page of numbers failed', { why: String(cause) });
    answer(response, { status: 503, text: 'the tunnel does not answer\n' });
  }
}

/** One line; undefined where devices can come. */
function notReady(status: EdgeStatus): string | undefined {
  return status.listen.udp.every((port) => port > 0) ? undefined : 'no UDP port is open\n';
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type?: string;
  readonly allow?: string;
}

function answer(response: ServerResponse, { status, text, type = plain, allow }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...(allow === undefined ? {} : { allow }),
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}
