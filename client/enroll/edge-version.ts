/** Notices an edge that speaks a newer version of the protocol than this client knows. */

import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import { type DeviceConfig, protocolVersion } from '../../shared/core/registration/api.ts';

/** Edges remembered; a client knows few. */
const maxEdges = 64;

export class EdgeVersions {
  readonly #newer = new Set<string>();

  /** The edge has said how this machine should set itself up. */
  handleConfig(edge: string, { protocol }: Pick<DeviceConfig, 'protocol'>): void {
    this.#newer.delete(edge);
    if (protocol !== undefined && protocol > protocolVersion && this.#newer.size < maxEdges) {
      this.#newer.add(edge);
    }
  }

  /** What the user reads while connected to it. */
  health(edge: string | undefined): readonly HealthItem[] {
    return edge !== undefined && this.#newer.has(edge) ? [healthItem('edge-newer')] : [];
  }
}
