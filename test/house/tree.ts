// Reads the source tree for the tests of this folder: which files there are, and what each imports.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const notOurs = new Set(['node_modules', 'dist', 'coverage', '.git', '.cache', '.vitest']);

/** Paths from the root with forward slashes, sorted, of every file that is ours. */
export function allFiles(folder = ''): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (notOurs.has(entry.name)) continue;
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) found.push(...allFiles(path));
    else found.push(path);
  }
  return found.toSorted();
}

/** TypeScript sources of the named top folders, without tests of their own. */
export function sources(...folders: string[]): string[] {
  return folders.flatMap((folder) => allFiles(folder)).filter((path) => /\.tsx?$/.test(path));
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export interface Import {
  /** What is written between the quotes. */
  readonly written: string;
  /** Path from the root for relative imports, else the package as written. */
  readonly target: string;
  readonly typeOnly: boolean;
  readonly isExport: boolean;
}

const importLine = /^\s*(import|export)(\s+type)?\b(?:[^'"`;=]*?\bfrom)?\s*['"]([^'"]+)['"]/gm;
const importCall = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

export function importsOf(path: string): Import[] {
  return importsIn(path, read(path));
}

/** `path` is where `text` stands, to resolve relative imports against. */
export function importsIn(path: string, text: string): Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  for (const [, word, type, written = ''] of code.matchAll(importLine)) {
    found.push({
      written,
      target: resolve(path, written),
      typeOnly: type !== undefined,
      isExport: word === 'export',
    });
  }
  for (const [, written = ''] of code.matchAll(importCall)) {
    found.push({ written, target: resolve(path, written), typeOnly: false, isExport: false });
  }
  return found;
}

function resolve(from: string, written: string): string {
  if (!written.startsWith('.')) return written;
  return relative('.', posix.join(posix.dirname(from), written))
    .split(sep)
    .join('/');
}
