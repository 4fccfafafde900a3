// The checks are the parts of `npm run check`, read from package.json so that there is one list. All of them run,
// even after one has failed. Each counts as one test.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Counts } from './counts.ts';
import { root, type Spawn } from './spawn.ts';

export async function runChecks(spawn: Spawn): Promise<Counts> {
  let passed = 0;
  let failed = 0;
  for (const line of checkCommands()) {
    console.log(`\n> ${line}`);
    const [program = '', ...parameters] = line.split(' ');
    const ok = (await spawn(program, parameters, {})) === 0;
    console.log(ok ? `ok: ${line}` : `FAILED: ${line}`);
    if (ok) passed++;
    else failed++;
  }
  return { passed, failed, skipped: [] };
}

function checkCommands(): string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: { check: string };
  };
  return manifest.scripts.check.split('&&').map((line) => line.trim());
}
