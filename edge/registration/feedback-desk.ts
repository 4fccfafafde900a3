/** Words of devices for the operator: taken in, shown and forgotten. For the API and the command line. */

import type { Entropy } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  type FeedbackList,
  type FeedbackReceipt,
  type FeedbackRequest,
  type FeedbackView,
  maxDiagnosticsBytes,
  maxWordsBytes,
} from '../../shared/core/registration/feedback-api.ts';
import type { FeedbackRecord } from '../peers/feedback-store.ts';
import type { DeviceRecord, PeerStore } from '../peers/store.ts';
import { ApiProblem } from './api-problem.ts';
import { newId } from './secrets.ts';
import { timeText } from './views.ts';

export interface FeedbackParts {
  readonly store: PeerStore;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
}

export class FeedbackDesk {
  readonly #parts: FeedbackParts;

  constructor(parts: FeedbackParts) {
    this.#parts = parts;
  }

  async add(device: DeviceRecord, request: FeedbackRequest): Promise<FeedbackReceipt> {
    const { store, entropy, unixNow } = this.#parts;
    const { words, diagnostics } = request;
    const isLarge = sizeOf(words) > maxWordsBytes || sizeOf(diagnostics ?? '') > maxDiagnosticsBytes;
    if (isLarge) throw new ApiProblem('too-large');
    const id = newId(entropy);
    const at = unixNow();
    const record = { id, deviceId: device.id, deviceName: device.name, at, words, diagnostics };
    const isTaken = await store.feedback.add(record, { id, actor: `device:${device.id}`, at });
    if (!isTaken) throw new ApiProblem('too-much-feedback');
    return { id };
  }

  async list(): Promise<FeedbackList> {
    return { feedback: (await this.#parts.store.feedback.list()).map(viewOf) };
  }

  /** Throws 'unknown-feedback'. */
  async show(id: string): Promise<FeedbackView> {
    const found = await this.#parts.store.feedback.find(id);
    if (found === undefined) throw new CulvertError('unknown-feedback');
    return viewOf(found);
  }

  /** Throws 'unknown-feedback'. */
  async remove(id: string, actor: string): Promise<void> {
    const { store, entropy, unixNow } = this.#parts;
    const isGone = await store.feedback.remove(id, { id: newId(entropy), actor, at: unixNow() });
    if (!isGone) throw new CulvertError('unknown-feedback');
  }
}

function viewOf({ id, deviceId, deviceName, at, words, diagnostics }: FeedbackRecord): FeedbackView {
  return {
    id,
    device: deviceId,
    name: deviceName,
    at: timeText(at),
    words,
    ...(diagnostics === undefined ? {} : { diagnostics }),
  };
}

function sizeOf(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}
