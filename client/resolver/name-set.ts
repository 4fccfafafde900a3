/**
 * A set of names in which a name covers all names below it. Text in lower case without the last dot; bounded.
 * Pure.
 */

/** What a list of a million names takes is much, and still fits. */
export const maxNames = 2_000_000;

export class NameSet<T> {
  readonly #names = new Map<string, T>();

  get size(): number {
    return this.#names.size;
  }

  /** The last one holds. False where the set is full. */
  add(name: string, value: T): boolean {
    if (this.#names.size >= maxNames && !this.#names.has(name)) return false;
    this.#names.set(name, value);
    return true;
  }

  delete(name: string): boolean {
    return this.#names.delete(name);
  }

  /** The longest entry that covers `name`, undefined where none does. */
  find(name: string): { readonly entry: string; readonly value: T } | undefined {
    let rest = name;
    for (;;) {
      const value = this.#names.get(rest);
      if (value !== undefined) return { entry: rest, value };
      const at = dotAfterLabel(rest);
      if (at < 0) return undefined;
      rest = rest.slice(at + 1);
    }
  }

  entries(): IterableIterator<[string, T]> {
    return this.#names.entries();
  }
}

/** The first dot that ends a label; an escaped one is part of it. */
function dotAfterLabel(name: string): number {
  for (let at = 0; at < name.length; at++) {
    if (name[at] === '\\') at++;
    else if (name[at] === '.') return at;
  }
  return -1;
}
