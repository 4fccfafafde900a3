/** Where a worker's entry lies: beside this file, as source or built. */

export function threadEntry(name: 'packet-thread' | 'flow-thread'): URL {
  const own = import.meta.url;
  return new URL(`./${name}${own.slice(own.lastIndexOf('.'))}`, own);
}
