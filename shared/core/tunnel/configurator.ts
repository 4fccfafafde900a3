/**
 * Applies a DeviceChange to a device and tells its status. The change was validated by whoever
 * parsed it; what is invalid here is a bug.
 */

import { CookieJar } from '../admission/cookie-jar.ts';
import { macKey } from '../admission/macs.ts';
import { assert } from '../base/assert.ts';
import { equalBytes, isZero, wipe } from '../base/bytes.ts';
import { type Endpoint, endpointSize, sameRemote } from '../base/endpoint.ts';
import { type Prefix, parsePrefix, readEndpoint, writeEndpoint } from '../base/ip.ts';
import { type MonoMs, secondMs } from '../base/time.ts';
import type { Keypair } from '../session/keypair.ts';
import { Disguise } from '../wire/disguise.ts';
import { type DisguiseRules, isPlain, sameRules } from '../wire/disguise-rules.ts';
import type { CoreStatus, DeviceChange, PeerChange, PeerLimits, PeerStatus } from './config.ts';
import type { TunnelContext } from './context.ts';
import type { Handshakes } from './handshakes.ts';
import { LossGauge } from './loss-gauge.ts';
import { maxClaims, maxCopies, Peer } from './peer.ts';
import { limitsAnything, PeerLimiter } from './peer-limit.ts';
import { SendGauge } from './send-gauge.ts';
import type { StagedBudget } from './staged.ts';

export class Configurator {
  readonly #context: TunnelContext;
  readonly #handshakes: Handshakes;
  readonly #asleep: (peer: Peer) => void;
  readonly #budget: StagedBudget = { bytes: 0 };
  readonly #pacedBudget: StagedBudget = { bytes: 0 };

  /** `asleep` takes a removed peer out of the wake queue. */
  constructor(context: TunnelContext, handshakes: Handshakes, asleep: (peer: Peer) => void) {
    this.#context = context;
    this.#handshakes = handshakes;
    this.#asleep = asleep;
  }

  apply(change: DeviceChange, now: MonoMs): void {
    if (change.privateKey !== undefined) this.#setPrivateKey(change.privateKey, change.keepSessions === true);
    if (change.disguise !== undefined) this.#setDisguise(change.disguise);
    if (change.replacePeers === true) this.#removeAll();
    for (const peerChange of change.peers) this.#applyPeer(peerChange, now);
  }

  status(): CoreStatus {
    const { identity, disguise, peers, drops } = this.#context;
    return {
      privateKey: identity?.secretKey.slice(),
      publicKey: identity?.publicKey.slice(),
      ...(disguise === undefined ? {} : { disguise: disguise.rules }),
      peers: [...peers.values()].map((peer) => this.#peerStatus(peer)),
      drops: { ...drops },
    };
  }

  /** Forgets every key. */
  wipe(): void {
    this.#removeAll();
    this.#forgetIdentity();
  }

  #setPrivateKey(secretKey: Uint8Array, keepSessions: boolean): void {
    const { suite, identity, peers } = this.#context;
    // Tools set the same key again and again; sessions must survive that.
    if (identity !== undefined && equalBytes(identity.secretKey, secretKey)) return;
    this.#forgetIdentity();
    if (!isZero(secretKey)) {
      const publicKey = suite.publicKey(secretKey);
      const own = peers.get(publicKey);
      if (own !== undefined) this.#remove(own);
      this.#context.identity = { secretKey: secretKey.slice(), publicKey, mac1Key: macKey(suite, publicKey) };
    }
    for (const peer of peers.values()) {
      if (keepSessions) this.#handshakes.forgetPending(peer);
      else this.#handshakes.forget(peer);
      this.#share(peer);
    }
  }

  #setDisguise(rules: DisguiseRules): void {
    const { disguise, entropy } = this.#context;
    if (disguise !== undefined && sameRules(disguise.rules, rules)) return;
    this.#context.disguise = isPlain(rules) ? undefined : new Disguise(rules, entropy);
  }

  #forgetIdentity(): void {
    const { identity, suite } = this.#context;
    if (identity !== undefined) {
      suite.forget?.(identity.secretKey);
      wipe(identity.secretKey);
    }
    this.#context.identity = undefined;
  }

  #applyPeer(change: PeerChange, now: MonoMs): void {
    const { peers, identity, timers } = this.#context;
    const known = peers.get(change.publicKey);
    if (change.remove === true) {
      if (known !== undefined) this.#remove(known);
      return;
    }
    if (known === undefined && change.updateOnly === true) return;
    if (identity !== undefined && equalBytes(identity.publicKey, change.publicKey)) return;
    const peer = known ?? this.#create(change.publicKey);
    if (change.presharedKey !== undefined) peer.presharedKey.set(change.presharedKey);
    if (change.endpoint !== undefined) {
      assert(writeEndpoint(peer.endpoint, 0, change.endpoint), 'the endpoint was validated');
    }
    this.#applyAllowedIps(peer, change);
    if (change.claims !== undefined) peer.claims = prefixesOf(change.claims);
    if (change.limits !== undefined) applyLimits(peer, change.limits, this.#pacedBudget);
    if (change.persistentKeepalive !== undefined) {
      const before = peer.persistentKeepaliveMs;
      peer.persistentKeepaliveMs = change.persistentKeepalive * secondMs;
      if (before === 0 || peer.persistentKeepaliveMs === 0) timers.persistNow(peer, now);
    }
    if (change.alsoTo !== undefined) {
      peer.alsoTo = change.alsoTo.length === 0 ? [] : withMore(peer.alsoTo, change.alsoTo);
      if (peer.alsoTo.length === 0) peer.copied = 0;
      if (peer.pending !== undefined) timers.copyNow(peer, now);
    }
    if (change.renew === true) {
      // Whoever asks has reason to: the pause between two initiations is for ourselves.
      peer.lastInitiationAt = undefined;
      peer.forgetSticky();
      timers.initiateNow(peer, now);
    }
    if (peer.staged.count > 0 && peer.hasEndpoint) timers.initiateNow(peer, now);
  }

  #applyAllowedIps(peer: Peer, change: PeerChange): void {
    const { allowedIps } = this.#context;
    if (change.replaceAllowedIps === true) allowedIps.removeAll(peer);
    for (const text of change.removeAllowedIps ?? []) {
      const prefix = parsePrefix(text);
      assert(prefix !== undefined, 'the prefix was validated');
      allowedIps.remove(prefix.address, prefix.bits, peer);
    }
    for (const text of change.allowedIps) {
      const prefix = parsePrefix(text);
      assert(prefix !== undefined, 'the prefix was validated');
      allowedIps.insert(prefix.address, prefix.bits, peer);
    }
  }

  #create(publicKey: Uint8Array): Peer {
    const { suite, indices, peers } = this.#context;
    const own = publicKey.slice();
    const peer = new Peer({
      publicKey: own,
      cookieJar: new CookieJar(suite, own),
      budget: this.#budget,
      retired: (keypair: Keypair) => indices.delete(keypair.localIndex),
    });
    const { announceLostPackets } = this.#context.limits;
    if (announceLostPackets > 0) {
      peer.loss = new LossGauge(announceLostPackets);
      peer.sending = new SendGauge();
    }
    this.#share(peer);
    peers.set(peer.publicKey, peer);
    return peer;
  }

  /** Both static keys together, once per peer instead of once per handshake. */
  #share(peer: Peer): void {
    const { suite, identity } = this.#context;
    if (peer.staticShared !== undefined) wipe(peer.staticShared);
    peer.staticShared = identity === undefined ? undefined : suite.dh(identity.secretKey, peer.publicKey);
  }

  #remove(peer: Peer): void {
    const { peers, allowedIps } = this.#context;
    allowedIps.removeAll(peer);
    peers.delete(peer.publicKey);
    this.#handshakes.forget(peer);
    peer.timers.clearAll();
    peer.limiter?.clear();
    this.#asleep(peer);
    wipe(peer.presharedKey);
    if (peer.staticShared !== undefined) wipe(peer.staticShared);
    peer.staticShared = undefined;
  }

  #removeAll(): void {
    const { peers } = this.#context;
    // A map may lose entries while it is walked.
    for (const peer of peers.values()) this.#remove(peer);
  }

  #peerStatus(peer: Peer): PeerStatus {
    return {
      publicKey: peer.publicKey.slice(),
      presharedKey: peer.presharedKey.slice(),
      endpoint: readEndpoint(peer.endpoint, 0),
      lastHandshakeMs: peer.lastHandshakeUnixMs,
      ...(peer.handshakeMs === undefined ? {} : { handshakeMs: peer.handshakeMs }),
      rxBytes: peer.rxBytes,
      txBytes: peer.txBytes,
      persistentKeepalive: Math.round(peer.persistentKeepaliveMs / secondMs),
      allowedIps: this.#context.allowedIps.textsOf(peer),
      ...(peer.loss === undefined
        ? {}
        : { arrivals: { received: peer.loss.received, lost: peer.loss.lost } }),
      ...(peer.limiter === undefined ? {} : limitsStatus(peer.limiter)),
    };
  }
}

function prefixesOf(texts: readonly string[]): readonly Prefix[] {
  assert(texts.length <= maxClaims, 'the claims were validated');
  return texts.map((text) => {
    const prefix = parsePrefix(text);
    assert(prefix !== undefined, 'the prefix was validated');
    return prefix;
  });
}

/** Each place once. What passes the limit is left out: there are others. */
function withMore(before: readonly Uint8Array[], places: readonly Endpoint[]): readonly Uint8Array[] {
  const all = [...before];
  for (const place of places) {
    const record = new Uint8Array(endpointSize);
    assert(writeEndpoint(record, 0, place), 'the endpoint was validated');
    if (all.length < maxCopies && !all.some((one) => sameRemote(one, 0, record, 0))) all.push(record);
  }
  return all;
}

function limitsStatus({ limits, isSpent }: PeerLimiter): Pick<PeerStatus, 'limits' | 'isSpent'> {
  return isSpent ? { limits, isSpent } : { limits };
}

function applyLimits(peer: Peer, limits: PeerLimits, budget: StagedBudget): void {
  if (!limitsAnything(limits)) {
    peer.limiter?.clear();
    peer.limiter = undefined;
  } else if (peer.limiter === undefined) peer.limiter = new PeerLimiter(limits, budget);
  else peer.limiter.change(limits);
}
