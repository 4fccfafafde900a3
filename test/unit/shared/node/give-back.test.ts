// What a program gives back once it has settled: which pages may go, when it is done, and that it does anything.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ffiAvailable } from '../../../../shared/node/ffi/libc.ts';
import { SettledMemory, untouchedPages } from '../../../../shared/node/give-back.ts';

const program = '/opt/a node/bin/node';

function mapping(head: string, anonymous = 0, swap = 0): string {
  return `${head}\nSize: 8 kB\nRss:  8 kB\nAnonymous:    ${anonymous} kB\nSwap:        ${swap} kB\nVmFlags: rd ex\n`;
}

const clean = `00400000-00402000 r-xp 00000000 fe:00 7    ${program}`;

describe('the pages that may go', () => {
  test.each([
    ['code of the program', mapping(clean), true],
    ['constants of the program', mapping(clean.replace('r-xp', 'r--p')), true],
    ['what the linker wrote to', mapping(clean.replace('r-xp', 'r--p'), 4), false],
    ['what was written to and lies in swap', mapping(clean.replace('r-xp', 'r--p'), 0, 4), false],
    ['what may be written to', mapping(clean.replace('r-xp', 'rw-p')), false],
    ['what is shared', mapping(clean.replace('r-xp', 'r-xs')), false],
    ['another file', mapping(clean.replace('bin/node', 'lib/a.so')), false],
    ['a program that was replaced', mapping(`${clean} (deleted)`), false],
    ['memory without a file', mapping('00400000-00402000 r-xp 00000000 00:00 0 '), false],
    ['a kernel that tells less', `${clean}\nSize: 8 kB\n`, false],
  ])('%s', (_, text, may) => {
    const around = mapping('7f00-7f80 rw-p 00000000 00:00 0    [heap]', 64);

    const found = untouchedPages(around + text + around, program);

    expect(found).toEqual(may ? [{ address: 0x40_0000, length: 0x2000 }] : []);
  });
});

describe('when it is given back', () => {
  interface World {
    readonly memory: SettledMemory;
    /** Delays under way. */
    readonly waits: { readonly delayMs: number; readonly work: () => void }[];
    given: number;
    worked: number;
  }

  function world(): World {
    const waits: World['waits'] = [];
    const memory = new SettledMemory({
      giveBack: () => {
        all.given++;
      },
      workedMs: () => all.worked,
      schedule: (delayMs, work) => {
        const wait = { delayMs, work };
        waits.push(wait);
        return () => void waits.splice(waits.indexOf(wait), waits.includes(wait) ? 1 : 0);
      },
    });
    const all: World = { memory, waits, given: 0, worked: 1000 };
    return all;
  }

  function pass({ waits }: World): number {
    const [next] = waits.splice(0, 1);
    next?.work();
    return next?.delayMs ?? Number.NaN;
  }

  test('a while after a change, and later again', () => {
    const all = world();

    all.memory.handleChange('off');
    const first = pass(all);
    all.worked += 500;
    const second = pass(all);

    expect({ first, second, given: all.given }).toEqual({ first: 3000, second: 20_000, given: 2 });
  });

  test('another change begins the wait anew, the same again does not', () => {
    const all = world();
    all.memory.handleChange('off');
    pass(all);

    all.memory.handleChange('off');
    const same = all.waits.map(({ delayMs }) => delayMs);
    all.memory.handleChange('connected');
    const other = all.waits.map(({ delayMs }) => delayMs);

    expect({ same, other }).toEqual({ same: [20_000], other: [3000] });
  });

  test('a program that slept has nothing to give', () => {
    const all = world();
    all.memory.handleChange('off');
    pass(all);

    all.worked += 20;
    const delays = [pass(all), pass(all)];

    expect({ delays, given: all.given }).toEqual({ delays: [20_000, 60_000], given: 1 });
  });

  test('a program that sleeps on is looked at less and less, one that works again every minute', () => {
    const all = world();
    all.memory.handleChange('off');
    for (let i = 0; i < 3; i++) pass(all);

    const asleep = Array.from({ length: 6 }, () => pass(all) / 60_000);
    all.worked += 5000;
    const found = pass(all) / 60_000;
    const again = pass(all) / 60_000;

    expect(asleep).toEqual([2, 4, 8, 16, 16, 16]);
    expect({ found, again, given: all.given }).toEqual({ found: 16, again: 1, given: 2 });
  });

  test('nothing happens after the end', () => {
    const all = world();
    all.memory.handleChange('off');

    all.memory.close();
    all.memory.handleChange('connected');

    expect(all.waits).toEqual([]);
  });
});

test.runIf(process.platform === 'linux' && ffiAvailable().ok)(
  'most of what Node needed to start leaves, and the program goes on',
  { timeout: 60_000 },
  () => {
    const room = new URL('../../../../shared/node/give-back.ts', import.meta.url).href;
    const script = `
      import { readFileSync } from 'node:fs';
      import { giveBackMemory, untouchedPages } from ${JSON.stringify(room)};
      const resident = () => readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
        .filter((text) => text.split('\\n')[0].endsWith(process.execPath))
        .reduce((sum, text) => sum + Number(/^Rss: +(\\d+)/m.exec(text)[1]), 0);
      const before = resident();
      giveBackMemory();
      console.log(JSON.stringify({ before, after: resident(), sum: eval('1 + 1') }));`;

    const words = ['--input-type=module', '--eval', script];
    const out = execFileSync(process.execPath, words, {
      cwd: fileURLToPath(new URL('.', room)),
      encoding: 'utf8',
    });
    const { before, after, sum } = JSON.parse(out) as { before: number; after: number; sum: number };

    expect(sum).toBe(2);
    expect(after).toBeLessThan(before * 0.7);
  },
);
