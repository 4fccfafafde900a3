// Brings the "(not built yet)" marks in the maps of all READMEs up to date. Run from the root of the project.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';

const skipped = new Set(['node_modules', 'dist', '.git']);
const mark = ' (not built yet)';

function filesBelow(folder) {
  return readdirSync(folder || '.', { withFileTypes: true })
    .filter((entry) => !skipped.has(entry.name))
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : [path];
    });
}

const files = filesBelow('');
const exists = (path) => files.some((file) => file === path || file.startsWith(`${path}/`));

/** One README with its marks corrected: in ```map blocks, indentation says what lies in what. */
function marked(readme) {
  let inMap = false;
  let parents = [];
  const lines = readFileSync(readme, 'utf8').split('\n');
  return lines.map((line) => {
    if (line.startsWith('```')) {
      inMap = line === '```map';
      parents = [];
      return line;
    }
    const entry = inMap ? /^( *)(\S+)/.exec(line) : null;
    if (entry === null) return line;
    const [, indent, name] = entry;
    parents = parents.filter((parent) => parent.indent < indent.length);
    const folder = parents.at(-1)?.path ?? posix.dirname(readme);
    const path = posix.join(folder, name).replace(/\/$/, '');
    parents.push({ indent: indent.length, path });
    const bare = line.endsWith(mark) ? line.slice(0, -mark.length) : line;
    return exists(path) ? bare : bare + mark;
  });
}

for (const readme of files.filter((file) => file.endsWith('README.md'))) {
  writeFileSync(readme, marked(readme).join('\n'));
}
