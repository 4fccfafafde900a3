/**
 * Chooses the crypto suite of a worker: OpenSSL through FFI and the WebAssembly kernel together, each
 * for the packet sizes where it is measured to be faster; the kernel alone where there is no FFI;
 * the portable suite where there is neither. Of OpenSSL its primitives where they can be had, else
 * its documented functions. Whatever is chosen has given the known answers. Runs once at start and
 * takes about 30 ms.
 */

import type { Log } from '../../core/base/ports.ts';
import { selfTest, selfTestBytes } from '../../core/crypto/known-answer.ts';
import { portableSuite } from '../../core/crypto/portable.ts';
import type { CryptoSuite } from '../../core/crypto/suite.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { opensslAvailable } from '../ffi/openssl.ts';
import { primitivesAvailable } from '../ffi/openssl-primitives.ts';
import { loadKernel } from '../kernel/kernel.ts';
import { combinedSuite } from './combined.ts';
import { type CrossoverOptions, measureCrossover } from './crossover.ts';
import { evpSuite } from './evp.ts';
import { primitivesSuite } from './primitives.ts';
import { simdSuite } from './simd.ts';

const preferences = ['auto', 'portable', 'openssl', 'openssl-primitives', 'wasm'] as const;

/** What a person can ask for, by option or by the environment variable CULVERT_CRYPTO. */
export type SuitePreference = (typeof preferences)[number];

export interface ChooseOptions {
  /** Takes about 220 KiB. */
  readonly memory: WorkerMemory;
  readonly log: Log;
  /** Default: CULVERT_CRYPTO, else 'auto'. What cannot be had is replaced by the portable suite. */
  readonly prefer?: SuitePreference;
}

export interface SuiteChoice {
  readonly suite: CryptoSuite;
  /** One line for people. */
  readonly reason: string;
}

/** The suite to use; the log says which and why. Throws only where even the portable suite is wrong. */
export function chooseSuite(options: ChooseOptions): CryptoSuite {
  const asked = process.env['CULVERT_CRYPTO'];
  if (asked !== undefined && preferenceOf(asked) === undefined) {
    options.log.warn('CULVERT_CRYPTO is not understood', { known: preferences.join(', ') });
  }
  const { suite, reason } = explainSuite(options);
  options.log.info('crypto suite chosen', { suite: suite.name, reason });
  return suite;
}

/** The same with its reason, silently. */
export function explainSuite(options: ChooseOptions): SuiteChoice {
  const { memory } = options;
  const prefer = options.prefer ?? preferenceOf(process.env['CULVERT_CRYPTO']) ?? 'auto';
  if (prefer === 'portable') return usePortable('asked for');
  const faults: string[] = [];
  const attempt = <T>(make: () => T): T | undefined => {
    try {
      return make();
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  const at = memory.alloc(selfTestBytes, 64);
  const isWanted = (...names: SuitePreference[]): boolean => prefer === 'auto' || names.includes(prefer);
  const openssl = isWanted('openssl', 'openssl-primitives') ? attempt(() => makeOpenssl(memory)) : undefined;
  const primitives =
    openssl && isWanted('openssl-primitives') ? attempt(() => makePrimitives(memory, openssl)) : undefined;
  const wasm = isWanted('wasm') ? attempt(() => makeWasm(memory)) : undefined;
  const together = (large: CryptoSuite | undefined): SuiteChoice | undefined =>
    large && wasm ? combine({ large, small: wasm, memory, at }) : undefined;
  const alone = (suite: CryptoSuite | undefined): SuiteChoice | undefined =>
    suite && { suite, reason: faults.join('; ') || 'asked for' };
  // The best first; one that gives a wrong answer makes way for the next.
  const makers = [
    () => together(primitives),
    () => together(openssl),
    () => alone(primitives),
    () => alone(openssl),
    () => alone(wasm),
  ];
  for (const make of makers) {
    const choice = attempt(() => proven(make(), memory.bytes.subarray(at, at + selfTestBytes)));
    if (choice !== undefined) return choice;
  }
  return usePortable(faults.join('; '));
}

/** The choice after its self-test. Throws where it fails. */
function proven(choice: SuiteChoice | undefined, sample: Uint8Array): SuiteChoice | undefined {
  if (choice === undefined) return undefined;
  const wrong = selfTest(choice.suite, sample);
  if (wrong !== undefined) throw new Error(`${choice.suite.name} failed its self-test: ${wrong}`);
  return choice;
}

function usePortable(reason: string): SuiteChoice {
  return proven({ suite: portableSuite, reason }, new Uint8Array(selfTestBytes)) as SuiteChoice;
}

function makeOpenssl(memory: WorkerMemory): CryptoSuite {
  const openssl = opensslAvailable();
  if (!openssl.ok) throw new Error(openssl.reason);
  if (memory.base === 0) throw new Error('the worker memory has no address');
  return evpSuite({ openssl: openssl.openssl, memory, portable: portableSuite });
}

function makePrimitives(memory: WorkerMemory, rest: CryptoSuite): CryptoSuite {
  const verdict = primitivesAvailable();
  if (!verdict.ok) throw new Error(verdict.reason);
  return primitivesSuite({ primitives: verdict.primitives, memory, rest });
}

function makeWasm(memory: WorkerMemory): CryptoSuite {
  const loaded = loadKernel(memory.wasm);
  if (!loaded.ok) throw new Error(loaded.reason);
  return simdSuite({ kernel: loaded.kernel, memory, portable: portableSuite });
}

/** Both, each where it is faster. */
function combine(options: CrossoverOptions): SuiteChoice {
  const { fromBytes, figures: reason } = measureCrossover(options);
  const { large, small } = options;
  return { suite: fromBytes === 0 ? large : combinedSuite({ large, small, fromBytes }), reason };
}

function preferenceOf(text: string | undefined): SuitePreference | undefined {
  return preferences.find((known) => known === text);
}
