/** Counts what the edge does for its devices besides carrying packets: calls of the API, handshakes. No names. */

export interface EdgeActivity {
  /** Handshakes that came about since the start. */
  readonly handshakes: number;
  /** Devices that listen for changes now. */
  readonly listeners: number;
  /** Answered calls since the start, by 'METHOD /path STATUS'; the path as the API's description has it. */
  readonly requests: Readonly<Record<string, number>>;
}

/** Paths that are none count as one. */
export const unknownRoute = 'other';
/** Routes times answers; more would be a bug. */
const maxKeys = 2000;

export class ActivityCounts {
  #handshakes = 0;
  readonly #requests = new Map<string, number>();

  countHandshake(): void {
    this.#handshakes += 1;
  }

  /** `route`: '/v1/admin/devices/:id'; undefined where there is none. */
  countRequest(method: string, route: string | undefined, status: number): void {
    const key = route === undefined ? `${unknownRoute} ${status}` : `${method} ${route} ${status}`;
    const before = this.#requests.get(key);
    if (before === undefined && this.#requests.size >= maxKeys) return;
    this.#requests.set(key, (before ?? 0) + 1);
  }

  read(listeners: number): EdgeActivity {
    return { handshakes: this.#handshakes, listeners, requests: Object.fromEntries(this.#requests) };
  }
}
