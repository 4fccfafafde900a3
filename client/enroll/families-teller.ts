/**
 * Tells the edge which filter of names this machine has chosen (setting dns.families), so that it holds where the
 * edge's resolver answers: modes tunnel and proxy, and names that go around our stub. Told again after every connect.
 * Without a filter of ours the edge's own holds. In tunnel_only names are left alone, and the edge's own holds too.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import type { FamiliesChoice } from '../../shared/core/registration/api.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';
import type { Driver } from '../driver/driver.ts';
import type { SettingsStore } from '../settings/store.ts';
import type { EnrollmentDesk } from './enrollment-desk.ts';
import type { RegistrationStore } from './registrations.ts';

export interface FamiliesTellerParts {
  readonly enrollment: Pick<EnrollmentDesk, 'call'>;
  /** The enrolled edge that this machine is connected to; undefined where there is none. */
  readonly connectedTo: () => string | undefined;
  readonly choice: () => { readonly families: 'off' | 'malware' | 'full'; readonly mode: string };
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

const retryMs = 30 * secondMs;
const maxTries = 5;

export class FamiliesTeller {
  readonly #parts: FamiliesTellerParts;
  /** Edge and choice that were told, or are being told. */
  #told: string | undefined;
  #endWait: (() => void) | undefined;

  constructor(parts: FamiliesTellerParts) {
    this.#parts = parts;
  }

  /** Call at every change of the connection or of settings. */
  handleChange(): void {
    const edge = this.#parts.connectedTo();
    const told = edge === undefined ? undefined : `${edge} ${this.#wanted()}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#endWait?.();
    this.#endWait = undefined;
    if (edge !== undefined && told !== undefined) void this.#tell(edge, told, 1);
  }

  /** Idempotent. */
  close(): void {
    this.#endWait?.();
    this.#endWait = undefined;
    this.#told = undefined;
  }

  #wanted(): FamiliesChoice['families'] {
    const { families, mode } = this.#parts.choice();
    return families === 'off' || mode === 'tunnel_only' ? 'edge' : families;
  }

  async #tell(edge: string, told: string, tries: number): Promise<void> {
    const { enrollment, log, after = startIdleTimer } = this.#parts;
    try {
      await enrollment.call(edge, 'chooseFamilies', { families: this.#wanted() });
    } catch (cause) {
      log.debug('the edge was not told the filter of names', { why: String(cause) });
      if (this.#told !== told || tries >= maxTries) return;
      this.#endWait = after(retryMs, () => void this.#tell(edge, told, tries + 1));
    }
  }
}

export interface FollowFamiliesParts {
  readonly driver: Pick<Driver, 'state' | 'onChange'>;
  readonly enrollment: Pick<EnrollmentDesk, 'call'>;
  readonly registrations: Pick<RegistrationStore, 'find'>;
  readonly settings: Pick<SettingsStore, 'current' | 'onChange'>;
  readonly log: Log;
}

/** A teller that follows the connection and the settings. */
export function followFamilies(parts: FollowFamiliesParts): FamiliesTeller {
  const { driver, enrollment, registrations, settings, log } = parts;
  const teller = new FamiliesTeller({
    enrollment,
    connectedTo: () => {
      const { state } = driver;
      // An edge whose file was imported has no such call.
      const isOurs = state.kind === 'connected' && registrations.find(state.edge) !== undefined;
      return isOurs ? state.edge : undefined;
    },
    choice: () => ({ families: settings.current['dns.families'], mode: settings.current.mode }),
    log,
  });
  driver.onChange(() => teller.handleChange());
  settings.onChange(() => teller.handleChange());
  return teller;
}
