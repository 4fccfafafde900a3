/** What a device may ask of its edge: the calls of core/registration/api.ts, without HTTP. */

import { decodeBase64Key, encodeBase64 } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { Paths, PathWhy, PathWhyRequest } from '../../shared/core/control/paths-api.ts';
import type { CryptoSuite } from '../../shared/core/crypto/suite.ts';
import type {
  Challenge,
  DeviceConfig,
  DeviceView,
  Directory,
  Enrolled,
  EnrolRequest,
  FamiliesChoice,
  KeyRequest,
  KeyResult,
} from '../../shared/core/registration/api.ts';
import { decodeBase64Url } from '../../shared/core/registration/base64url.ts';
import type { DeviceDiagnosis } from '../../shared/core/registration/diagnosis-api.ts';
import type { ToldNames } from '../../shared/core/registration/names-api.ts';
import type { OutsideReport } from '../../shared/core/registration/outside-api.ts';
import {
  checkPossession,
  isCanonicalKey,
  type ProofPurpose,
  proofSize,
} from '../../shared/core/registration/possession.ts';
import type { SessionAnswer, SessionRequest } from '../../shared/core/registration/session-api.ts';
import { autoPath } from '../../shared/core/registration/shapes.ts';
import { makeToken } from '../../shared/core/registration/tokens.ts';
import type { Sight } from '../doctor/sightings.ts';
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
import { type AskPaths, pathsFor, tellNamesFor, whyFor } from './device-paths.ts';
import type { EdgeFacts } from './edge-facts.ts';
import { type AddSession, openSessionFor } from './quantum.ts';
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
  /** Gives the device a key for one session; absent: there are none. */
  readonly onSession?: AddSession | undefined;
  /** What the tunnel saw of a device, by its keys; absent: nobody looks. */
  readonly sight?: ((publicKeys: readonly Uint8Array[]) => Promise<Sight>) | undefined;
  /** A device tells what it reaches from outside; absent: nobody asked. */
  readonly onOutside?: ((device: string, report: OutsideReport) => void) | undefined;
  /** Absent: nobody measures the paths. */
  readonly askPaths?: AskPaths | undefined;
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
        name: this.#isGuarded(request.name) ? unnamed : (request.name ?? unnamed),
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

  /** `source`: where the question came from, undefined where it came through the tunnel. */
  async diagnosis(device: DeviceRecord, source: string | undefined): Promise<DeviceDiagnosis> {
    const { facts, identity, sight, unixNow } = this.#parts;
    const keys = [device.publicKey, ...(device.formerKey === undefined ? [] : [device.formerKey.publicKey])];
    const seen = (await sight?.(keys)) ?? { spent: false, refused: {}, othersHeard: false };
    return {
      now: timeText(unixNow()),
      ...(source === undefined ? {} : { source }),
      publicKey: encodeBase64(device.publicKey),
      edgeKey: encodeBase64(identity.publicKey),
      udpPorts: directoryEdge(facts(), identity.publicKey, device.publicKey).udpPorts,
      ...seen,
    };
  }

  tellOutside(device: DeviceRecord, report: OutsideReport): void {
    this.#parts.onOutside?.(device.id, report);
  }

  async rename(device: DeviceRecord, name: string): Promise<DeviceView> {
    if (name !== device.name && this.#isGuarded(name)) throw new ApiProblem('name-taken');
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

  openSession(device: DeviceRecord, request: SessionRequest): Promise<SessionAnswer> {
    return openSessionFor(device, request, this.#parts);
  }

  paths(device: DeviceRecord): Promise<Paths> {
    return pathsFor(device, this.#parts.facts().paths, this.#parts.askPaths);
  }

  why(device: DeviceRecord, request: PathWhyRequest): Promise<PathWhy> {
    return whyFor(device.name, request, this.#parts.askPaths);
  }

  tellNames(device: DeviceRecord, { names }: ToldNames): Promise<void> {
    return tellNamesFor(device.name, names, this.#parts.askPaths);
  }

  async choosePath(device: DeviceRecord, path: string): Promise<Paths> {
    if (path !== autoPath && !(await this.paths(device)).paths.some((one) => one.id === path)) {
      throw new ApiProblem('path-not-granted');
    }
    return this.paths(await this.#change(device, { path: path === autoPath ? null : path }));
  }

  async chooseFamilies(device: DeviceRecord, choice: FamiliesChoice['families']): Promise<DeviceView> {
    return deviceView(await this.#change(device, { families: choice === 'edge' ? null : choice }));
  }

  config(device: DeviceRecord): DeviceConfig {
    return deviceConfig(this.#parts.facts(), this.#parts.identity.publicKey, device);
  }

  directory(device: DeviceRecord): Directory {
    const { facts, identity } = this.#parts;
    return { edges: [directoryEdge(facts(), identity.publicKey, device.publicKey)] };
  }

  /** Names that open something are the operator's to give: by an invitation, or by renaming. */
  #isGuarded(name: string | undefined): boolean {
    return name !== undefined && this.#parts.facts().guardedNames?.has(name.toLowerCase()) === true;
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
