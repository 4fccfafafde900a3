// A language that nobody speaks (en-XA): accents and 40 % more letters, to see what breaks in longer languages and
// which sentence never went through a catalogue.
import type { Catalogue } from './catalogue.ts';

const plain = 'aceinouyACEINOUY';
const accented = 'áçéíñóúýÁÇÉÍÑÓÚÝ';
const growth = 0.4;
const filler = 'ôöø ';

/** 'Save' → '[Sávé ôö]'. */
export function pseudoText(text: string): string {
  const letters = Array.from(text, (letter) => {
    const at = plain.indexOf(letter);
    return at === -1 ? letter : accented.charAt(at);
  });
  const more = filler.repeat(Math.ceil((text.length * growth) / filler.length));
  return `[${letters.join('')} ${more.slice(0, Math.ceil(text.length * growth)).trim()}]`;
}

export function pseudoCatalogue(from: Catalogue): Catalogue {
  return { ...(grown(from) as Catalogue), tag: 'en', respell: pseudoText };
}

function grown(value: unknown): unknown {
  if (typeof value === 'string') return pseudoText(value);
  if (Array.isArray(value)) return value.map(grown);
  if (typeof value === 'function') {
    const say = value as (parameter: never) => string;
    return (parameter: never) => pseudoText(say(parameter));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, grown(part)]));
}
