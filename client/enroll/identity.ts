/**
 * Key pairs on their way into an edge's file: made here, kept in a file for the owner alone from before the
 * edge hears of them until the edge's answer is stored, so that a crash or a lost answer can be continued.
 * The private key never leaves this machine.
 */

import { readFileSync, rmSync } from 'node:fs';
import { decodeBase64Key, encodeBase64 } from '../../shared/core/base/bytes.ts';
import { generatePrivateKey, publicKeyOf } from '../../shared/node/wgtools/keys.ts';
import { writeAtomic } from '../settings/atomic-file.ts';

export interface KeyPair {
  /** 32 bytes; the caller wipes it. */
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Where a key waits. `purpose` says what for: a key is found again only for the same one. */
export class PendingKey {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The key that waits for this purpose, or a new one, which is on the disk when this returns. */
  takeOrCreate(purpose: string): KeyPair {
    const known = this.find(purpose);
    if (known !== undefined) return known;
    const privateKey = generatePrivateKey();
    writeAtomic(this.#path, `${JSON.stringify({ purpose, privateKey: encodeBase64(privateKey) })}\n`);
    return { privateKey, publicKey: publicKeyOf(privateKey) };
  }

  find(purpose: string): KeyPair | undefined {
    let file: { purpose?: unknown; privateKey?: unknown };
    try {
      file = JSON.parse(readFileSync(this.#path, 'utf8')) as typeof file;
    } catch {
      return undefined; // None waits, or half of one: a new one is as good.
    }
    if (file.purpose !== purpose || typeof file.privateKey !== 'string') return undefined;
    const privateKey = decodeBase64Key(file.privateKey);
    return privateKey === undefined ? undefined : { privateKey, publicKey: publicKeyOf(privateKey) };
  }

  /** It is where it belongs now, or not wanted any more. */
  forget(): void {
    rmSync(this.#path, { force: true });
  }
}
