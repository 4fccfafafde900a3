// Finds the paths that a README promises: in backticks, and in code blocks marked `map`, where indentation is nesting.
import { posix } from 'node:path';

export interface Promised {
  readonly line: number;
  /** As written, for the message. */
  readonly written: string;
  /** Where it may be: from the root, or from the README's own folder. */
  readonly candidates: readonly string[];
  /** The line says that the thing is still to come. */
  readonly notBuilt: boolean;
  readonly onMap: boolean;
}

const topFolders = ['shared', 'client', 'edge', 'desktop', 'test', '.ci'];
const sourceFile = /\.(ts|tsx|mjs|json|md|sh)$/;
const marker = 'not built yet';

/** `path` is the README's own path from the root. */
export function promisedPaths(path: string, text: string): Promised[] {
  const folder = posix.dirname(path);
  const found: Promised[] = [];
  let block: string | undefined;
  let parents: { indent: number; path: string }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^\s*```(\w*)/.exec(line);
    const place = { line: index + 1, notBuilt: line.includes(marker), onMap: block === 'map' };
    if (fence) {
      block = block === undefined ? (fence[1] ?? '') : undefined;
      parents = [];
    } else if (block === undefined) {
      for (const written of pathsInBackticks(line))
        found.push({ ...place, written, candidates: [written, posix.join(folder, written)] });
    } else if (block === 'map') {
      const entry = /^( *)(\S+)/.exec(line);
      if (!entry) continue;
      const [, spaces = '', written = ''] = entry;
      parents = parents.filter((parent) => parent.indent < spaces.length);
      const above = parents.at(-1)?.path ?? folder;
      const full = posix.join(above, written).replace(/\/$/, '');
      parents.push({ indent: spaces.length, path: full });
      found.push({ ...place, written: full, candidates: [full] });
    }
  }
  return found;
}

function pathsInBackticks(line: string): string[] {
  const found: string[] = [];
  for (const [, written = ''] of line.matchAll(/`([^`]+)`/g)) {
    if (!/^[\w.@-]+(\/[\w.@-]+)*\/?$/.test(written) || !written.includes('/')) continue;
    const first = written.split('/')[0] ?? '';
    if (topFolders.includes(first) || sourceFile.test(written)) found.push(written.replace(/\/$/, ''));
  }
  return found;
}
