/** The version in package.json, found from the sources and from what is built of them. */

import { readFileSync } from 'node:fs';

export function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        version?: string;
      };
      if (manifest.version !== undefined) return manifest.version;
    } catch {
      // Not there: the sources are one folder nearer than the built files.
    }
  }
  return 'unknown';
}
