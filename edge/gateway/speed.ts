/**
 * The gateway's page for measuring: GET /speed?bytes=N answers with so many zeros, as fast as the asker reads.
 * A test of the tunnel alone: no other server takes part, and nothing closed has to be opened for it.
 */

import type { ServerResponse } from 'node:http';

/** More is not sent in one answer. */
export const maxSpeedBytes = 1_000_000_000;
const block: Buffer = Buffer.alloc(64 * 1024);
const page = /^(?:https?:\/\/[^/?#]*)?\/speed\?bytes=([0-9]{1,12})$/i;

/** How many bytes are asked for, within the limit; undefined where another page is. */
export function speedBytes(method: string | undefined, target: string | undefined): number | undefined {
  if (method !== 'GET') return undefined;
  const asked = page.exec(target ?? '')?.[1];
  return asked === undefined ? undefined : Math.min(Number(asked), maxSpeedBytes);
}

/** Ends with the connection where the asker goes. `onProgress` is called whenever they have read something. */
export function pourZeros(response: ServerResponse, bytes: number, onProgress: () => void): void {
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': String(bytes),
    'cache-control': 'no-store',
  });
  let left = bytes;
  const pour = (): void => {
    onProgress();
    while (left > 0) {
      if (response.destroyed) return;
      const size = Math.min(left, block.length);
      left -= size;
      if (!response.write(size === block.length ? block : block.subarray(0, size)) && left > 0) {
        response.once('drain', pour);
        return;
      }
    }
    response.end();
  };
  pour();
}
