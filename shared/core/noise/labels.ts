/** The protocol's fixed texts (§5.4), under the paper's names. */

import { ascii } from '../base/bytes.ts';

export const construction: Uint8Array = ascii('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s');
export const identifier: Uint8Array = ascii('WireGuard v1 zx2c4 Jason@zx2c4.com');
export const labelMac1: Uint8Array = ascii('mac1----');
export const labelCookie: Uint8Array = ascii('cookie--');
