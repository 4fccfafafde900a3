// Where the window was, so that it opens there again, unless that place is off every screen now. Pure.
export interface Bounds {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const usualSize = { width: 380, height: 700 } as const;
export const leastSize = { width: 320, height: 480 } as const;

const most = 10_000;
/** So much of the window's top must be reachable by hand. */
const reachable = 64;

/** From the file in which it is kept; undefined where it does not fit. */
export function parsePlace(text: string): Bounds | undefined {
  let parsed: Partial<Record<keyof Bounds, unknown>> | null;
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    return undefined;
  }
  const { x, y, width, height } = parsed ?? {};
  if (!isSmall(x) || !isSmall(y) || !isSmall(width) || !isSmall(height)) return undefined;
  return {
    x,
    y,
    width: Math.max(leastSize.width, width),
    height: Math.max(leastSize.height, height),
  };
}

/** What to open with: the last place where a screen still shows it, else only the usual size. */
export function placeFor(
  last: Bounds | undefined,
  screens: readonly Bounds[],
): Bounds | { readonly width: number; readonly height: number } {
  if (last === undefined) return usualSize;
  const isSeen = screens.some(
    (screen) =>
      last.x + last.width >= screen.x + reachable &&
      last.x <= screen.x + screen.width - reachable &&
      last.y >= screen.y &&
      last.y <= screen.y + screen.height - reachable,
  );
  return isSeen ? last : { width: last.width, height: last.height };
}

function isSmall(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= most;
}
