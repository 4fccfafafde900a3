// Published vectors that do not fit the known answers every suite is asked at start (shared/core/crypto/known-answer.ts).

/** RFC 7748 §5.2: scalar and point begin as 9 and feed each other; the scalar after so many rounds. */
export const x25519Iterated: readonly (readonly [number, string])[] = [
  [1, '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079'],
  [1000, '684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51'],
];

/** RFC 8439 §2.8.2. Its nonce is not of WireGuard's form, so it checks the reference, not a suite. */
export const rfc8439 = {
  key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
  nonce: '070000004041424344454647',
  additional: '50515253c0c1c2c3c4c5c6c7',
  plaintext:
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  sealed:
    'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b' +
    '1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
    '3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
} as const;

/** RFC 7693 appendix E: the hash over the hashes of many lengths, plain and keyed. */
export const blake2sGrandHash = '6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe';
