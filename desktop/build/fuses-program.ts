// `npm run desktop:fuses -- PATH [--packed] [--check]`: sets the fuses of an Electron binary in its place, and shows them.
//   --packed  the app lies in resources/app.asar beside it; without it the binary is told a folder
//   --check   changes nothing; exit 1 where one is not as it must be
import { parseArgs } from 'node:util';
import { type FuseProfile, readFuses, setFuses, wrongFuses } from './fuses.ts';

const usage = 'Usage: npm run desktop:fuses -- PATH [--packed] [--check]';

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const said = error instanceof Error ? error.message : String(error);
  const sentence = said.includes('sentinel') ? 'That is no Electron binary: it holds no fuses.' : said;
  process.stderr.write(`culvert: ${sentence}\n`);
  process.exitCode = 1;
}

async function run(words: readonly string[]): Promise<number> {
  const asked = wordsOf(words);
  if (asked === undefined) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const { binary, profile, isCheck } = asked;
  if (!isCheck) await setFuses(binary, profile);
  const fuses = await readFuses(binary);
  for (const { name, state } of fuses) process.stdout.write(`${name.padEnd(40)} ${state}\n`);
  const wrong = wrongFuses(fuses, profile);
  for (const sentence of wrong) process.stderr.write(`culvert: ${sentence}\n`);
  return wrong.length === 0 ? 0 : 1;
}

interface Asked {
  readonly binary: string;
  readonly profile: FuseProfile;
  readonly isCheck: boolean;
}

function wordsOf(words: readonly string[]): Asked | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options: {
        packed: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
    const [binary, more] = positionals;
    if (binary === undefined || more !== undefined) return undefined;
    return { binary, profile: values.packed ? 'packed' : 'folder', isCheck: values.check };
  } catch {
    return undefined; // A word that there is not.
  }
}
