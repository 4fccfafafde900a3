/**
 * Noise IKpsk2, the initiator (§5.4.2, §5.4.3): writes the initiation, reads the response, derives
 * the session's keys. Macs are admission's; whom to call, when and how often is tunnel's. Every
 * initiation, also a repeated one, is a new handshake with a new ephemeral key.
 */

import { assert } from '../base/assert.ts';
import { wipe } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import { writeInitiation } from '../wire/initiation.ts';
import { type Response, readResponse } from '../wire/response.ts';
import { drawEphemeral, type EphemeralKey } from './ephemeral.ts';
import { type SessionKeys, type StaticKeys, SymmetricState } from './symmetric.ts';

const nothing = new Uint8Array(0);

export interface InitiationOptions {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  /** Drawn ahead, for this handshake; else it is drawn now. */
  readonly ephemeral?: EphemeralKey;
  readonly local: StaticKeys;
  readonly remoteStatic: Uint8Array;
  /** X25519 of both static keys; the same for every handshake with this peer, so the peer keeps it. */
  readonly staticShared: Uint8Array;
  /** 12 bytes of wire/tai64n.ts, greater than any sent to this peer before. */
  readonly timestamp: Uint8Array;
  readonly localIndex: number;
}

/**
 * Writes an initiation without its macs to `out[offset]` (148 bytes must fit) and returns what
 * waits for the response. 'bad-handshake' where the peer's static key is of low order.
 */
export function beginInitiation(
  options: InitiationOptions,
  out: Uint8Array,
  offset: number,
): InitiatorHandshake | 'bad-handshake' {
  const { suite, local, remoteStatic } = options;
  const own = options.ephemeral ?? drawEphemeral(suite, options.entropy, remoteStatic);
  const { secretKey: ephemeralSecret, publicKey: ephemeral, shared } = own;
  if (shared === undefined) {
    suite.forget?.(ephemeralSecret);
    wipe(ephemeralSecret);
    return 'bad-handshake';
  }

  const state = SymmetricState.begin(suite, remoteStatic);
  state.mixChain(ephemeral);
  state.mixHash(ephemeral);
  state.mixKey(shared);
  wipe(shared);
  const sealedStatic = state.seal(local.publicKey);
  state.mixKey(options.staticShared);
  const sealedTimestamp = state.seal(options.timestamp);

  writeInitiation({ sender: options.localIndex, ephemeral, sealedStatic, sealedTimestamp }, out, offset);
  return new InitiatorHandshake(options, state, ephemeralSecret);
}

/** An initiation of ours that waits for its response. Made by beginInitiation only. */
export class InitiatorHandshake {
  readonly localIndex: number;
  readonly #suite: CryptoSuite;
  readonly #local: StaticKeys;
  readonly #state: SymmetricState;
  readonly #ephemeralSecret: Uint8Array;
  #wiped = false;

  constructor(options: InitiationOptions, state: SymmetricState, ephemeralSecret: Uint8Array) {
    this.localIndex = options.localIndex;
    this.#suite = options.suite;
    this.#local = options.local;
    this.#state = state;
    this.#ephemeralSecret = ephemeralSecret;
  }

  /**
   * Reads the response at `bytes[offset]`, of which mac1 was checked. Keys: the handshake is over
   * and wiped. A reason: the response was not for us, and the handshake waits on, as before.
   */
  finish(
    presharedKey: Uint8Array,
    bytes: Uint8Array,
    offset: number,
  ): SessionKeys | 'bad-handshake' | 'unexpected-response' {
    assert(!this.#wiped, 'the handshake is not over');
    const response = readResponse(bytes, offset);
    if (response.receiver !== this.localIndex) return 'unexpected-response';
    const state = this.#state.copy();
    const authentic = this.#read(state, response, presharedKey);
    if (!authentic) {
      state.wipe();
      return 'bad-handshake';
    }
    const [sendKey, receiveKey] = state.split();
    state.wipe();
    this.wipe();
    return {
      sendKey,
      receiveKey,
      localIndex: this.localIndex,
      remoteIndex: response.sender,
      role: 'initiator',
    };
  }

  #read(state: SymmetricState, response: Response, presharedKey: Uint8Array): boolean {
    const ephemeralShared = this.#suite.dh(this.#ephemeralSecret, response.ephemeral);
    const staticShared = this.#suite.dh(this.#local.secretKey, response.ephemeral);
    if (ephemeralShared === undefined || staticShared === undefined) return false;
    state.mixChain(response.ephemeral);
    state.mixHash(response.ephemeral);
    state.mixChain(ephemeralShared);
    state.mixChain(staticShared);
    wipe(ephemeralShared);
    wipe(staticShared);
    state.mixPresharedKey(presharedKey);
    return state.open(response.sealedNothing)?.length === nothing.length;
  }

  /** Forgets the ephemeral key and all that was derived. For a handshake that is given up. */
  wipe(): void {
    this.#wiped = true;
    this.#state.wipe();
    this.#suite.forget?.(this.#ephemeralSecret);
    wipe(this.#ephemeralSecret);
  }
}
