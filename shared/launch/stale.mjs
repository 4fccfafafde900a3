// Compares what package-lock.json wants with npm's own record of what it installed. Pure: reads nothing.

/**
 * Says why `npm ci` is needed, or returns undefined. `wanted` is the lockfile, `present` is
 * node_modules/.package-lock.json where there is one. `system` is { os, cpu, libc }: optional packages made for it
 * are needed too. Without `development` the tools for checks and tests may be absent.
 */
export function staleReason(wanted, present, system, development) {
  if (present === undefined) return 'nothing is installed yet';
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === '') continue;
    const found = present.packages[path];
    if (found === undefined) {
      if (isNeeded(entry, system, development)) return `${path} is missing`;
    } else if (found.version !== entry.version || found.integrity !== entry.integrity) {
      return `${path} is not the version in package-lock.json`;
    }
  }
  for (const path of Object.keys(present.packages)) {
    if (wanted.packages[path] === undefined) return `${path} is no longer in package-lock.json`;
  }
  return undefined;
}

function isNeeded(entry, system, development) {
  if (entry.dev && !development) return false;
  if (!entry.optional && !entry.devOptional) return true;
  // Without a checksum nobody has seen it on a system of ours: not having it is no reason to install again and again.
  return entry.os !== undefined && entry.integrity !== undefined && isFor(entry, system);
}

function isFor(entry, system) {
  return ['os', 'cpu', 'libc'].every((field) => {
    const allowed = entry[field];
    return allowed === undefined || [allowed].flat().includes(system[field]);
  });
}
