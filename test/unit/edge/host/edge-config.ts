/** An edge's configuration for tests, from what stands below its key egress. */

import { type EdgeConfig, parseEdgeConfig } from '../../../../edge/config.ts';

export function readEdgeConfig(egress: string): EdgeConfig {
  const text = `network: { v4: 10.83.0.0/16, v6: "fd7c::/64" }\negress:\n  backend: kernel\n${egress}`;
  return parseEdgeConfig(text, {
    fileName: 'edge.yaml',
    folder: '/data',
    dataFolder: '/data',
    readSecretKey: () => undefined,
    readSecretText: () => '',
  }).config;
}
