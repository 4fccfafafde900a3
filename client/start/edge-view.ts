/** What the demonstration reads of an edge: its control socket, as `culvert-edge status --json` does. */

import { request } from 'node:http';
import { CulvertError } from '../../shared/core/control/codes.ts';

/** The part of an edge's status that is shown. */
export interface EdgeView {
  readonly publicKey: string;
  readonly devices: readonly {
    readonly name: string;
    readonly rxBytes: number;
    readonly txBytes: number;
    readonly path: string;
  }[];
}

const answerTimeoutMs = 5000;

export function askEdge(socketPath: string): Promise<EdgeView> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/status', timeout: answerTimeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text) as EdgeView));
    });
    asked.on('timeout', () =>
      asked.destroy(new CulvertError('timeout', { text: 'The edge does not answer.' })),
    );
    asked.on('error', reject);
    asked.end();
  });
}
