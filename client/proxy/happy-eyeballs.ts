/**
 * Several addresses, one connection (RFC 8305 §4 and §5, simplified): families take turns, a new try begins every
 * 250 ms or as soon as one failed, the first that stands wins and the others are given up.
 */

export interface RaceOptions<T> {
  /** At least one, in order; see `interleave`. */
  readonly addresses: readonly Uint8Array[];
  readonly connect: (address: Uint8Array, signal: AbortSignal) => Promise<T>;
  /** Takes a connection that came too late. */
  readonly discard: (late: T) => void;
  readonly signal: AbortSignal;
}

export interface Winner<T> {
  readonly connection: T;
  readonly address: Uint8Array;
}

export const staggerMs = 250;
/** Tries of one dial. */
const maxTries = 8;

/** Rejects with the signal's reason, or with the last try's error where all failed. */
export function raceConnect<T>(options: RaceOptions<T>): Promise<Winner<T>> {
  const { connect, discard, signal } = options;
  const [only, other] = options.addresses;
  if (only !== undefined && other === undefined) return connectOnly(only, options);
  const addresses = options.addresses.slice(0, maxTries);
  return new Promise((resolve, reject) => {
    const running = new Set<AbortController>();
    let next = 0;
    let isOver = false;
    let timer: NodeJS.Timeout | undefined;
    const finish = (act: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      act();
      for (const other of running) other.abort(new Error('another address was quicker'));
    };
    const onAbort = (): void => finish(() => reject(signal.reason as Error));
    const begin = (): void => {
      clearTimeout(timer);
      const address = addresses[next++];
      if (address === undefined || isOver) return;
      const own = new AbortController();
      running.add(own);
      timer = setTimeout(begin, staggerMs);
      void connect(address, own.signal)
        .then((connection) => {
          running.delete(own);
          if (isOver) return discard(connection);
          return finish(() => resolve({ connection, address }));
        })
        .catch((error: unknown) => {
          running.delete(own);
          if (next < addresses.length) begin();
          else if (running.size === 0) finish(() => reject(error));
        });
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    begin();
  });
}

/** Nobody to race with: nothing to set up either. */
async function connectOnly<T>(
  address: Uint8Array,
  { connect, discard, signal }: RaceOptions<T>,
): Promise<Winner<T>> {
  signal.throwIfAborted();
  const connection = await connect(address, signal);
  if (!signal.aborted) return { connection, address };
  discard(connection);
  throw signal.reason as Error;
}

/** Families in turn, beginning with that of `first` bytes; each family keeps its own order. */
export function interleave(addresses: readonly Uint8Array[], first: 4 | 16): readonly Uint8Array[] {
  if (addresses.length < 2) return addresses;
  const leading = addresses.filter((address) => address.length === first);
  const others = addresses.filter((address) => address.length !== first);
  const longest = Math.max(leading.length, others.length);
  return Array.from({ length: longest }, (_, i) => [leading[i], others[i]])
    .flat()
    .filter((address) => address !== undefined);
}
