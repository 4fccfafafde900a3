/** Small graphs out of characters, for lists that people watch in a terminal. Pure. */

const steps = '▁▂▃▄▅▆▇█';

/** The last `width` values, scaled from zero to the largest; a gap where nothing was measured. */
export function sparkline(values: readonly (number | undefined)[], width: number): string {
  const shown = values.slice(-width);
  const most = Math.max(0, ...shown.map((value) => value ?? 0));
  const line = shown.map((value) => {
    if (value === undefined) return ' ';
    const step = most === 0 ? 0 : Math.round((value / most) * (steps.length - 1));
    return steps.charAt(Math.max(0, step));
  });
  return line.join('').padStart(width);
}

/** `part`: 0 to 1. */
export function bar(part: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * width);
  return `${'█'.repeat(full)}${'·'.repeat(width - full)}`;
}

/** The latest values by name, so many of each; names beyond `maxNames` are not kept. */
export class Series {
  readonly #values: Map<string, (number | undefined)[]> = new Map();
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
  }

  add(name: string, value: number | undefined): void {
    const values = this.#values.get(name);
    if (values === undefined) {
      if (this.#values.size < maxNames) this.#values.set(name, [value]);
      return;
    }
    values.push(value);
    if (values.length > this.#length) values.shift();
  }

  of(name: string): readonly (number | undefined)[] {
    return this.#values.get(name) ?? [];
  }
}

/** More than an edge may have paths. */
const maxNames = 256;
