/** Which filter of names a device has chosen, by its name. Most have none. */

import type { Family } from '../../shared/node/resolver/well-known.ts';

export interface DeviceWithFamilies {
  readonly name: string;
  /** Absent: the edge's own. */
  readonly families?: Family | undefined;
}

export class DeviceFamilies {
  #chosen: ReadonlyMap<string, Family>;

  /** All devices of now. */
  constructor(devices: readonly DeviceWithFamilies[] = []) {
    this.#chosen = chosenBy(devices);
  }

  /** In the place of those before. */
  set(devices: readonly DeviceWithFamilies[]): void {
    this.#chosen = chosenBy(devices);
  }

  familyOf(device: string): Family | undefined {
    return this.#chosen.get(device);
  }
}

function chosenBy(devices: readonly DeviceWithFamilies[]): ReadonlyMap<string, Family> {
  return new Map(devices.flatMap(({ name, families }) => (families === undefined ? [] : [[name, families]])));
}
