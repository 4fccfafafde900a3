/**
 * Noise IKpsk2, the responder (§5.4.2, §5.4.3), in three steps, because between them the device
 * must look up the peer and check the timestamp: openInitiation → openTimestamp → respond. Macs
 * are admission's.
 */

import { assert } from '../base/assert.ts';
import { wipe } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import { type Initiation, readInitiation } from '../wire/initiation.ts';
import { writeResponse } from '../wire/response.ts';
import { drawEphemeral, type EphemeralKey } from './ephemeral.ts';
import { type SessionKeys, type StaticKeys, SymmetricState } from './symmetric.ts';

const nothing = new Uint8Array(0);

/**
 * First step: who calls? Reads the initiation at `bytes[offset]`, of which mac1 was checked. Only
 * borrows `bytes`. The key it names is not proven yet.
 */
export function openInitiation(
  suite: CryptoSuite,
  local: StaticKeys,
  bytes: Uint8Array,
  offset: number,
): ReceivedInitiation | 'bad-handshake' {
  const initiation = readInitiation(bytes, offset);
  const shared = suite.dh(local.secretKey, initiation.ephemeral);
  if (shared === undefined) return 'bad-handshake';
  const state = SymmetricState.begin(suite, local.publicKey);
  state.mixChain(initiation.ephemeral);
  state.mixHash(initiation.ephemeral);
  state.mixKey(shared);
  wipe(shared);
  const remoteStatic = state.open(initiation.sealedStatic);
  if (remoteStatic === undefined) {
    state.wipe();
    return 'bad-handshake';
  }
  return new ReceivedInitiation(suite, state, initiation, remoteStatic);
}

export interface ResponseOptions {
  readonly entropy: Entropy;
  /** Drawn ahead, for this handshake; else it is drawn now. */
  readonly ephemeral?: EphemeralKey;
  /** 32 bytes; zeros where there is none. */
  readonly presharedKey: Uint8Array;
  readonly localIndex: number;
}

/** An initiation from somebody. Made by openInitiation only; wipe it where it is not answered. */
export class ReceivedInitiation {
  /** Who it says it is; true once openTimestamp returned a timestamp. */
  readonly remoteStatic: Uint8Array;
  readonly remoteIndex: number;
  readonly #suite: CryptoSuite;
  readonly #state: SymmetricState;
  readonly #remoteEphemeral: Uint8Array;
  readonly #sealedTimestamp: Uint8Array;
  #step: 'named' | 'proven' | 'over' = 'named';

  constructor(suite: CryptoSuite, state: SymmetricState, initiation: Initiation, remoteStatic: Uint8Array) {
    this.remoteStatic = remoteStatic;
    this.remoteIndex = initiation.sender;
    this.#suite = suite;
    this.#state = state;
    this.#remoteEphemeral = initiation.ephemeral.slice();
    this.#sealedTimestamp = initiation.sealedTimestamp.slice();
  }

  /**
   * Second step: is it really that peer? `staticShared` is X25519 of our static key and
   * `remoteStatic`. Returns the timestamp, which the caller compares with the peer's last.
   */
  openTimestamp(staticShared: Uint8Array): Uint8Array | 'bad-handshake' {
    assert(this.#step === 'named', 'the timestamp is opened once');
    this.#state.mixKey(staticShared);
    const timestamp = this.#state.open(this.#sealedTimestamp);
    if (timestamp === undefined) {
      this.wipe();
      return 'bad-handshake';
    }
    this.#step = 'proven';
    return timestamp;
  }

  /**
   * Third step: writes a response without its macs to `out[offset]` (92 bytes must fit) and returns
   * the session's keys. The handshake is over and wiped, whatever is returned.
   */
  respond(options: ResponseOptions, out: Uint8Array, offset: number): SessionKeys | 'bad-handshake' {
    assert(this.#step === 'proven', 'only a proven peer gets a response');
    const own = options.ephemeral ?? drawEphemeral(this.#suite, options.entropy, this.remoteStatic);
    const { secretKey: ephemeralSecret, publicKey: ephemeral, shared: staticShared } = own;
    const ephemeralShared = this.#suite.dh(ephemeralSecret, this.#remoteEphemeral);
    this.#suite.forget?.(ephemeralSecret);
    wipe(ephemeralSecret);
    if (ephemeralShared === undefined || staticShared === undefined) {
      this.wipe();
      return 'bad-handshake';
    }
    const state = this.#state;
    state.mixChain(ephemeral);
    state.mixHash(ephemeral);
    state.mixChain(ephemeralShared);
    state.mixChain(staticShared);
    wipe(ephemeralShared);
    wipe(staticShared);
    state.mixPresharedKey(options.presharedKey);
    const sealedNothing = state.seal(nothing);
    const { localIndex } = options;
    writeResponse({ sender: localIndex, receiver: this.remoteIndex, ephemeral, sealedNothing }, out, offset);
    const [receiveKey, sendKey] = state.split();
    this.wipe();
    return { sendKey, receiveKey, localIndex, remoteIndex: this.remoteIndex, role: 'responder' };
  }

  /** Forgets all that was derived. For an initiation that is not answered. */
  wipe(): void {
    this.#step = 'over';
    this.#state.wipe();
  }
}
