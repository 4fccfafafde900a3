/** The version of this checkout or package, from its package.json. */

import { readFileSync } from 'node:fs';

/** From sources beside this folder, from what was built one folder further up. */
const places: readonly string[] = ['../package.json', '../../package.json'];

export function culvertVersion(): string {
  for (const place of places) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as {
        name?: unknown;
        version?: unknown;
      };
      if (name === 'culvert' && typeof version === 'string') return version;
    } catch {
      // Not there: look at the next place.
    }
  }
  return 'unknown';
}
