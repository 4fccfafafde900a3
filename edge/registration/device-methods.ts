/** What a device may ask of its edge: the calls of core/registration/api.ts, without HTTP. */

import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { CryptoSuite } from '../../shared/core/crypto/suite.ts';
import type {
  Challenge,
  DeviceConfig,
  DeviceView,
  Directory,
  Enrolled,
  EnrolRequest,
  KeyRequest,
  KeyResult,
  Paths,
} from '../../shared/core/registration/api.ts';
import { decodeBase64Url } from '../../shared/core/registration/base64url.ts';
import {
  checkPossession,
  isCanonicalKey,
  type ProofPurpose,
  proofSize,
} from '../../shared/core/registration/possession.ts';
import { autoPath } from '../../shared/core/registration/shapes.ts';
import { makeToken } from '../../shared/core/registration/tokens.ts';
import {
  type Act,
  type ChangeOutcome,
  type DevicePatch,
  type DeviceRecord,
  type PeerStore,
  retention,
} from '../peers/store.ts';
import { ApiProblem } from './api-problem.ts';
import { Challenges } from './challenges.ts';
import { deviceConfig, directoryEdge } from './device-config.ts';
import type { EdgeFacts } from './edge-facts.ts';
import { hashToken, newId } from './secrets.ts';
import { deviceView, timeText } from './views.ts';

export interface DeviceMethodsParts {
  readonly store: PeerStore;
  readonly suite: CryptoSuite;
  readonly identity: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };
  readonly facts: () => EdgeFacts;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
  /** Called after every write; when it resolves, the tunnel has followed. */
  readonly onWrite: () => Promise<void>;
}

/** How long a replaced key still works, unless the new one is heard before. */
export const keyOverlapMs: number = minuteMs;
const unnamed = 'device';

export class DeviceMethods {
  readonly #parts: DeviceMethodsParts;
  readonly #challenges: Challenges;

  constructor(parts: DeviceMethodsParts) {
    this.#parts = parts;
    this.#challenges = new Challenges(parts.suite, parts.identity.privateKey);
  }

  challenge(): Challenge {
    return { challenge: this.#challenges.issue(this.#parts.unixNow(), this.#parts.entropy) };
  }

  async enrol(request: EnrolRequest): Promise<Enrolled> {
    const { store, entropy, facts, identity, onWrite } = this.#parts;
    const fields = [request.token, request.name ?? '', request.platform ?? ''];
    const publicKey = this.#provenKey('enrol', request, fields);
    const bearer = makeToken('device', entropy);
    const id = newId(entropy);
    const outcome = await store.enrol(
      {
        id,
        name: request.name ?? unnamed,
        publicKey,
        platform: request.platform,
        pools: facts().pools,
        entropy,
        tokenHash: hashToken(request.token),
        bearerHash: hashToken(bearer),
      },
      this.#act(`device:${id}`),
    );
    if (outcome.kind === 'refused') throw new ApiProblem(outcome.why);
    await onWrite();
    const { device } = outcome;
    return {
      device: deviceView(device),
      bearer,
      config: deviceConfig(facts(), identity.publicKey, device),
    };
  }

  me(device: DeviceRecord): DeviceView {
    return deviceView(device);
  }

  async rename(device: DeviceRecord, name: string): Promise<DeviceView> {
    return deviceView(await this.#change(device, { name }));
  }

  async leave(device: DeviceRecord): Promise<void> {
    const act = this.#actOf(device);
    await this.#parts.store.removeDevice(device.id, (act.at + retention.quarantineMs) as UnixMs, act);
    await this.#parts.onWrite();
  }

  async rotateKey(device: DeviceRecord, request: KeyRequest): Promise<KeyResult> {
    const publicKey = this.#provenKey('rotate', request, [device.id]);
    const act = this.#actOf(device);
    const until = (act.at + keyOverlapMs) as UnixMs;
    const changed = settled(await this.#parts.store.rotateKey(device.id, publicKey, until, act));
    await this.#parts.onWrite();
    return { device: deviceView(changed), formerKeyUntil: timeText(changed.formerKey?.until ?? act.at) };
  }

  paths(device: DeviceRecord): Paths {
    const { granted } = device;
    const paths = this.#parts.facts().paths.filter((path) => granted?.includes(path.id) !== false);
    return { paths, chosen: device.path ?? autoPath };
  }

  async choosePath(device: DeviceRecord, path: string): Promise<Paths> {
    if (path !== autoPath && !this.paths(device).paths.some((one) => one.id === path)) {
      throw new ApiProblem('path-not-granted');
    }
    return this.paths(await this.#change(device, { path: path === autoPath ? null : path }));
  }

  config(device: DeviceRecord): DeviceConfig {
    return deviceConfig(this.#parts.facts(), this.#parts.identity.publicKey, device);
  }

  directory(device: DeviceRecord): Directory {
    const { facts, identity } = this.#parts;
    return { edges: [directoryEdge(facts(), identity.publicKey, device.publicKey)] };
  }

  async #change(device: DeviceRecord, patch: DevicePatch): Promise<DeviceRecord> {
    const changed = settled(await this.#parts.store.changeDevice(device.id, patch, this.#actOf(device)));
    await this.#parts.onWrite();
    return changed;
  }

  #provenKey(purpose: ProofPurpose, request: KeyRequest, fields: readonly string[]): Uint8Array {
    const { suite, identity, unixNow } = this.#parts;
    const { challenge } = request;
    if (!this.#challenges.isFresh(challenge, unixNow())) throw new ApiProblem('challenge-stale');
    const deviceKey = decodeBase64Key(request.publicKey);
    const proof = decodeBase64Url(request.proof, proofSize);
    if (deviceKey === undefined || proof === undefined) throw new ApiProblem('bad-request');
    if (!isCanonicalKey(deviceKey)) throw new ApiProblem('bad-key');
    const claim = { purpose, challenge, deviceKey, edgeKey: identity.publicKey, fields };
    if (!checkPossession(suite, identity.privateKey, claim, proof)) throw new ApiProblem('proof-wrong');
    return deviceKey;
  }

  #actOf(device: DeviceRecord): Act {
    return this.#act(`device:${device.id}`);
  }

  #act(actor: string): Act {
    return { id: newId(this.#parts.entropy), actor, at: this.#parts.unixNow() };
  }
}

/** A device that is gone by now has no valid bearer either. */
function settled(outcome: ChangeOutcome): DeviceRecord {
  if (outcome.kind === 'changed') return outcome.device;
  throw new ApiProblem(outcome.why === 'not-found' ? 'unauthorized' : outcome.why);
}
