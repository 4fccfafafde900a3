// One whole handshake as §5.4.2 to §5.4.5 of the WireGuard paper say it, line by line, on the reference of openssl.ts.
// Nothing of the core is used here, so that both can be wrong only in different ways.
import { counterNonce, refBlake2s, refDh, refHash, refHmac, refPublicKey, refSeal } from './openssl.ts';

export interface HandshakeInputs {
  readonly initiatorSecret: Uint8Array;
  readonly responderSecret: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly responderEphemeral: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly timestamp: Uint8Array;
  readonly initiatorIndex: number;
  readonly responderIndex: number;
}

export interface HandshakeTranscript {
  readonly initiation: Uint8Array;
  readonly response: Uint8Array;
  readonly initiatorSends: Uint8Array;
  readonly initiatorReceives: Uint8Array;
}

const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value));
const zeroNonce = counterNonce(0);
const empty = new Uint8Array(0);

export function referenceHandshake(inputs: HandshakeInputs): HandshakeTranscript {
  const staticInitiator = refPublicKey(inputs.initiatorSecret);
  const staticResponder = refPublicKey(inputs.responderSecret);
  const ephemeralInitiator = refPublicKey(inputs.initiatorEphemeral);
  const ephemeralResponder = refPublicKey(inputs.responderEphemeral);

  let c = refHash(text('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'));
  let h = refHash(refHash(c, text('WireGuard v1 zx2c4 Jason@zx2c4.com')), staticResponder);
  [c] = kdf(1, c, ephemeralInitiator);
  h = refHash(h, ephemeralInitiator);
  let k: Uint8Array;
  [c, k] = kdf(2, c, refDh(inputs.initiatorEphemeral, staticResponder));
  const sealedStatic = refSeal(k, zeroNonce, staticInitiator, h);
  h = refHash(h, sealedStatic);
  [c, k] = kdf(2, c, refDh(inputs.initiatorSecret, staticResponder));
  const sealedTimestamp = refSeal(k, zeroNonce, inputs.timestamp, h);
  h = refHash(h, sealedTimestamp);
  const initiation = withMacs(
    Buffer.concat([u32(1), u32(inputs.initiatorIndex), ephemeralInitiator, sealedStatic, sealedTimestamp]),
    staticResponder,
  );

  [c] = kdf(1, c, ephemeralResponder);
  h = refHash(h, ephemeralResponder);
  [c] = kdf(1, c, refDh(inputs.responderEphemeral, ephemeralInitiator));
  [c] = kdf(1, c, refDh(inputs.responderEphemeral, staticInitiator));
  const [last, t, sealing] = kdf(3, c, inputs.presharedKey);
  h = refHash(h, t);
  const sealedNothing = refSeal(sealing, zeroNonce, empty, h);
  const response = withMacs(
    Buffer.concat([
      u32(2),
      u32(inputs.responderIndex),
      u32(inputs.initiatorIndex),
      ephemeralResponder,
      sealedNothing,
    ]),
    staticInitiator,
  );

  const [initiatorSends, initiatorReceives] = kdf(2, last, empty);
  return { initiation, response, initiatorSends, initiatorReceives };
}

function kdf(count: number, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = refHmac(key, input);
  const outputs: Uint8Array[] = [];
  for (let n = 1; n <= count; n++) {
    outputs.push(refHmac(secret, outputs.at(-1) ?? empty, Uint8Array.of(n)));
  }
  return outputs;
}

function withMacs(message: Uint8Array, receiver: Uint8Array): Uint8Array {
  const mac1 = refBlake2s(message, refHash(text('mac1----'), receiver), 16);
  return Uint8Array.from([...message, ...mac1, ...new Uint8Array(16)]);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}
