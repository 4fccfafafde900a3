/**
 * Chooses the crypto suite of a worker: each candidate must pass the known answers and is then
 * timed on packets of worker memory; the fastest wins. Runs once at start.
 */

import type { Log } from '../../core/base/ports.ts';
import { selfTest, selfTestBytes } from '../../core/crypto/known-answer.ts';
import { portableSuite } from '../../core/crypto/portable.ts';
import { type CryptoSuite, keySize, tagSize } from '../../core/crypto/suite.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { opensslAvailable } from '../ffi/openssl.ts';
import { evpSuite } from './evp.ts';

/** What a person can ask for, by option or by the environment variable CULVERT_CRYPTO. */
export type SuitePreference = 'portable' | 'openssl';

export interface ChooseOptions {
  readonly memory: WorkerMemory;
  readonly log: Log;
  /** Default: CULVERT_CRYPTO, else the fastest. */
  readonly prefer?: SuitePreference;
}

export interface SuiteChoice {
  readonly suite: CryptoSuite;
  /** One line for people. */
  readonly reason: string;
}

const sampleBytes = 1420;
const sampleRounds = 40;

/** The suite to use; the log says which and why. Throws only where even the portable suite is wrong. */
export function chooseSuite(options: ChooseOptions): CryptoSuite {
  const { suite, reason } = explainSuite(options);
  options.log.info('crypto suite chosen', { suite: suite.name, reason });
  return suite;
}

/** The same with its reason, silently. */
export function explainSuite(options: ChooseOptions): SuiteChoice {
  const { memory } = options;
  const prefer = options.prefer ?? preferenceOf(process.env['CULVERT_CRYPTO']);
  if (prefer === 'portable') return usePortable('asked for');
  const openssl = tryOpenssl(memory);
  if (typeof openssl === 'string') return usePortable(openssl);
  if (prefer === 'openssl') return { suite: openssl, reason: 'asked for' };
  const sample = memory.alloc(sampleBytes + tagSize);
  const fastNs = measure(openssl, memory, sample);
  const portableNs = measure(portableSuite, memory, sample);
  const figures = `openssl-ffi ${fastNs} ns, portable ${portableNs} ns for ${sampleBytes} bytes`;
  return fastNs <= portableNs ? { suite: openssl, reason: figures } : usePortable(figures);
}

function usePortable(reason: string): SuiteChoice {
  const wrong = selfTest(portableSuite);
  if (wrong !== undefined) throw new Error(`the portable crypto suite is wrong: ${wrong}`);
  return { suite: portableSuite, reason };
}

/** The suite, or why there is none. */
function tryOpenssl(memory: WorkerMemory): CryptoSuite | string {
  const openssl = opensslAvailable();
  if (!openssl.ok) return openssl.reason;
  if (memory.base === 0) return 'the worker memory has no address';
  try {
    const suite = evpSuite({ openssl: openssl.openssl, memory, portable: portableSuite });
    const sample = memory.alloc(selfTestBytes);
    const wrong = selfTest(suite, memory.bytes.subarray(sample, sample + selfTestBytes));
    return wrong === undefined ? suite : `openssl-ffi failed its self-test: ${wrong}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Nanoseconds to seal a full packet. */
function measure(suite: CryptoSuite, memory: WorkerMemory, at: number): number {
  const key = suite.transportKey(new Uint8Array(keySize));
  // The first rounds compile; only the second half counts.
  for (let i = 0; i < sampleRounds; i++) key.seal(memory.bytes, at, sampleBytes, i);
  const start = process.hrtime.bigint();
  for (let i = 0; i < sampleRounds; i++) key.seal(memory.bytes, at, sampleBytes, sampleRounds + i);
  const elapsed = Number(process.hrtime.bigint() - start);
  key.wipe();
  return Math.round(elapsed / sampleRounds);
}

function preferenceOf(text: string | undefined): SuitePreference | undefined {
  return text === 'portable' || text === 'openssl' ? text : undefined;
}
