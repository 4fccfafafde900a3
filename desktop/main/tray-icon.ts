// The tray's three locks, drawn as pixels: no files, one drawing for every size. Black with an alpha channel, so that
// macOS can tint it; elsewhere the light or the dark ink is chosen. Pure.
import type { TrayShape } from './tray.ts';

export interface Ink {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

export const darkInk: Ink = { red: 0x14, green: 0x20, blue: 0x2b };
export const lightInk: Ink = { red: 0xee, green: 0xf3, blue: 0xf7 };

const bytesPerPixel = 4;
const opaque = 255;
/** Each pixel is the mean of this many samples a side: smooth edges. */
const samples = 3;

/** In units of the icon's side. */
type Covers = (x: number, y: number) => boolean;

const body: Covers = (x, y) => x >= 0.2 && x <= 0.8 && y >= 0.46 && y <= 0.92;
const bow: Covers = (x, y) => isRing(x - 0.5, y - 0.36) && y <= 0.36;
const legs: Covers = (x, y) => y > 0.36 && y < 0.46 && isLeg(x - 0.5);
/** Turned open: it stands beside the body. */
const openBow: Covers = (x, y) =>
  (isRing(x - 0.7, y - 0.3) && y <= 0.3) || (y > 0.3 && y < 0.46 && isLegLeft(x - 0.7));
const badge: Covers = (x, y) => x >= 0.7 && y >= 0.5 && ((y <= 0.8 && x <= 0.94) || (y >= 0.86 && x <= 0.94));
const badgeHalo: Covers = (x, y) => x >= 0.64 && y >= 0.44;

const shapes: Readonly<Record<TrayShape, Covers>> = {
  closed: (x, y) => body(x, y) || bow(x, y) || legs(x, y),
  open: (x, y) => (body(x, y) && !isHollow(x, y)) || openBow(x, y),
  dotted: (x, y) => (body(x, y) || bow(x, y) || legs(x, y)) && isDot(x, y),
};

/** `side`² pixels of blue, green, red, alpha: what Electron calls a bitmap. */
export function drawLock(shape: TrayShape, hasBadge: boolean, side: number, ink: Ink): Uint8Array {
  const pixels = new Uint8Array(side * side * bytesPerPixel);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const at = (row * side + column) * bytesPerPixel;
      pixels[at] = ink.blue;
      pixels[at + 1] = ink.green;
      pixels[at + 2] = ink.red;
      pixels[at + 3] = Math.round(cover(shape, hasBadge, side, [column, row]) * opaque);
    }
  }
  return pixels;
}

function cover(
  shape: TrayShape,
  hasBadge: boolean,
  side: number,
  [column, row]: readonly [number, number],
): number {
  let hits = 0;
  for (let sample = 0; sample < samples * samples; sample++) {
    const x = (column + ((sample % samples) + 0.5) / samples) / side;
    const y = (row + (Math.floor(sample / samples) + 0.5) / samples) / side;
    const isInk = hasBadge && badgeHalo(x, y) ? badge(x, y) : shapes[shape](x, y);
    if (isInk) hits++;
  }
  return hits / (samples * samples);
}

function isRing(x: number, y: number): boolean {
  const distance = Math.hypot(x, y);
  return distance >= 0.14 && distance <= 0.26;
}

function isLeg(x: number): boolean {
  return Math.abs(x) >= 0.14 && Math.abs(x) <= 0.26;
}

function isLegLeft(x: number): boolean {
  return x <= -0.14 && x >= -0.26;
}

function isHollow(x: number, y: number): boolean {
  return x >= 0.32 && x <= 0.68 && y >= 0.58 && y <= 0.8;
}

function isDot(x: number, y: number): boolean {
  return Math.floor(x * 8) % 2 === Math.floor(y * 8) % 2;
}
