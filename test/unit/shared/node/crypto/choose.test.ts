import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Log } from '../../../../../shared/core/base/ports.ts';
import { chooseSuite, explainSuite } from '../../../../../shared/node/crypto/choose.ts';
import { crossoverOf } from '../../../../../shared/node/crypto/crossover.ts';
import { ffiAvailable } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { opensslAvailable } from '../../../../../shared/node/ffi/openssl.ts';
import { silentLog as log } from '../../../../../shared/node/silent-log.ts';

const ffi = ffiAvailable();
const native = ffi.ok && opensslAvailable().ok;
const memoryBytes = 1024 * 1024;

function newMemory(): WorkerMemory {
  return new WorkerMemory(memoryBytes, ffi.ok ? ffi.libc : undefined);
}

describe('the choice of a suite', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('without FFI it is the kernel, and the reason says why not OpenSSL', () => {
    const memory = new WorkerMemory(memoryBytes, undefined);

    const choice = explainSuite({ memory, log, prefer: 'auto' });

    expect(choice.suite.name).toBe('wasm');
    expect(choice.reason).not.toBe('');
  });

  test.runIf(native)('with FFI it is both, and name and reason say from which size on', () => {
    const choice = explainSuite({ memory: newMemory(), log, prefer: 'auto' });

    // Which of both wins depends on the machine; that figures stand behind it does not.
    expect(choice.suite.name).toMatch(/^openssl-primitives(\+wasm \((≥ \d+ B openssl|packets wasm)\))?$/);
    expect(choice.reason).toMatch(
      /^64 B \d+\/\d+, 512 B \d+\/\d+, 1420 B \d+\/\d+ ns \(openssl-primitives\/wasm\)$/,
    );
  });

  test.each([
    ['portable', 'portable'],
    ['wasm', 'wasm'],
    ...(native ? [['openssl', 'openssl-ffi'] as const] : []),
    ...(native ? [['openssl-primitives', 'openssl-primitives'] as const] : []),
  ] as const)('a person can force %s, by option and by the environment', (prefer, name) => {
    const wanted = { suite: { name }, reason: 'asked for' };

    expect(explainSuite({ memory: newMemory(), log, prefer })).toMatchObject(wanted);
    vi.stubEnv('CULVERT_CRYPTO', prefer);
    expect(explainSuite({ memory: newMemory(), log })).toMatchObject(wanted);
  });

  test('what is forced and cannot be had is replaced by the portable one, with the reason', () => {
    const memory = new WorkerMemory(memoryBytes, undefined);

    const choice = explainSuite({ memory, log, prefer: 'openssl' });

    expect(choice.suite.name).toBe('portable');
    expect(choice.reason).not.toBe('');
  });

  test('where nothing else gives right answers it is the portable one', () => {
    const memory = new WorkerMemory(memoryBytes, undefined);
    vi.stubGlobal('WebAssembly', undefined);

    const choice = explainSuite({ memory, log, prefer: 'auto' });
    vi.unstubAllGlobals();

    expect(choice.suite.name).toBe('portable');
    expect(choice.reason).toContain('WebAssembly');
  });

  test('a preference that nobody knows is warned of and counts as none', () => {
    const warnings: string[] = [];
    const listening: Log = { ...log, warn: (text) => void warnings.push(text) };
    vi.stubEnv('CULVERT_CRYPTO', 'rot13');

    const suite = chooseSuite({ memory: new WorkerMemory(memoryBytes, undefined), log: listening });

    expect(warnings).toHaveLength(1);
    expect(suite.name).toBe('wasm');
  });
});

describe('the crossover', () => {
  test.each([
    ['never, where the second is always faster', [600, 700, 1500], [200, 600, 1400], Infinity],
    ['always, where the first is always faster', [100, 200, 300], [200, 600, 1400], 0],
    ['always, also where a later figure disagrees', [100, 700, 300], [200, 600, 1400], 0],
    ['between the last two sizes', [600, 740, 1100], [280, 690, 1400], 704],
    ['between the first two sizes', [300, 400, 1000], [200, 500, 1400], 320],
    ['at a size where both are the same', [600, 700, 1100], [280, 700, 1400], 512],
  ] as const)('is %s', (_, large, small, expected) => {
    expect(crossoverOf(large, small)).toBe(expected);
  });
});
