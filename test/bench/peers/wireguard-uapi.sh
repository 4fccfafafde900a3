#!/usr/bin/env bash
# Brings up one end of a WireGuard tunnel with a userspace implementation that
# is configured by wg(8) through its UAPI socket (wireguard-go, boringtun-cli,
# gotatun, ...). For measure.mjs: runs inside the client or the edge namespace and
# stays in the foreground.
#
# Usage: wireguard-uapi.sh edge|client|forget BINARY [ARGS...]
#   BINARY ARGS... IFNAME is what gets executed; ARGS must keep it in the
#   foreground (wireguard-go: -f). `forget` (client side, tunnel up) removes and
#   re-adds the peer, so that the next packet needs a fresh handshake.
# Environment: from measure.mjs (BENCH_TMP, TOPO_PREFIX, EDGE_ADDR), and TUN_MTU
# (default 1420).
set -euo pipefail
ROLE=$1; shift
TUN_MTU=${TUN_MTU:-1420}
PORT=51820

# The UAPI sockets of all namespaces share one directory: names must differ.
IF_EDGE=${TOPO_PREFIX}e
IF_CLIENT=${TOPO_PREFIX}c

if [ "$ROLE" = edge ]; then
  umask 077
  for r in edge client; do
    wg genkey > "$BENCH_TMP/$r.key"
    wg pubkey < "$BENCH_TMP/$r.key" > "$BENCH_TMP/$r.pub"
  done
fi

add_edge_peer() {
  wg set "$IF_CLIENT" peer "$(cat "$BENCH_TMP/edge.pub")" \
    endpoint "$EDGE_ADDR:$PORT" allowed-ips 0.0.0.0/0,::/0
}

case $ROLE in
  edge)   IF=$IF_EDGE ;;
  client) IF=$IF_CLIENT ;;
  forget)
    wg set "$IF_CLIENT" peer "$(cat "$BENCH_TMP/edge.pub")" remove
    add_edge_peer
    exit 0 ;;
  *) echo "role must be edge, client or forget" >&2; exit 2 ;;
esac

"$@" "$IF" &
for _ in $(seq 200); do wg show "$IF" >/dev/null 2>&1 && break; sleep 0.02; done

if [ "$ROLE" = edge ]; then
  wg set "$IF" private-key "$BENCH_TMP/edge.key" listen-port $PORT \
    peer "$(cat "$BENCH_TMP/client.pub")" allowed-ips 10.77.0.2/32,fd77::2/128
  ip addr add 10.77.0.1/24 dev "$IF"
  ip addr add fd77::1/64 dev "$IF" nodad
  ip link set "$IF" mtu "$TUN_MTU" up
  touch "$BENCH_TMP/edge.ready"
else
  wg set "$IF" private-key "$BENCH_TMP/client.key"
  add_edge_peer
  ip addr add 10.77.0.2/24 dev "$IF"
  ip addr add fd77::2/64 dev "$IF" nodad
  ip link set "$IF" mtu "$TUN_MTU" up
  ip route add default dev "$IF"
  ip -6 route add default dev "$IF"
fi
wait
