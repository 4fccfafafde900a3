#!/bin/sh
# build.sh OUTPUT: builds the peer from Debian's packages (unstable, 2026): golang-go,
# golang-golang.zx2c4-wireguard-dev, golang-gvisor-gvisor-dev, golang-github-armon-go-socks5-dev.
# GO and GOCODE name another compiler and another folder of sources. Asks no network.
set -eu
output=$(realpath -m "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src"
cp -r "$here" "$work/src/gvisor-proxy"
cd "$work/src/gvisor-proxy"
# gVisor reaches into Go's runtime, which Go forbids by default.
GOPATH="$work:${GOCODE:-/usr/share/gocode}" GOCACHE="$work/cache" GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 \
  "${GO:-go}" build -ldflags=-checklinkname=0 -o "$output" gvisor-proxy
