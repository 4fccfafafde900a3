/** Facts that a device announces. They drive nothing inside the core. */

export type TunnelEvent =
  | { readonly kind: 'established'; readonly publicKey: Uint8Array; readonly role: 'initiator' | 'responder' }
  | { readonly kind: 'expired'; readonly publicKey: Uint8Array }
  | { readonly kind: 'roamed'; readonly publicKey: Uint8Array }
  | { readonly kind: 'gave-up'; readonly publicKey: Uint8Array }
  /** Data was sent and nothing came back for `announceUnansweredMs`; only where that is asked for. */
  | { readonly kind: 'unanswered'; readonly publicKey: Uint8Array }
  /** The network loses datagrams on their way to us (`announceLostPackets`), at most once a second. */
  | { readonly kind: 'lossy'; readonly publicKey: Uint8Array }
  /** Much was sent for a second; where losses are counted, and at most once a second. */
  | { readonly kind: 'sending'; readonly publicKey: Uint8Array }
  /** An authenticated data packet (keepalives included) came after the handshake, the first of its session. */
  | { readonly kind: 'confirmed'; readonly publicKey: Uint8Array };
