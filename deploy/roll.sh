#!/bin/sh
# Restarts the instances behind HAProxy one after the other: no request fails, and every client goes
# on with another instance. Run it after an upgrade or a change of the settings, on HAProxy's machine:
#
#   deploy/roll.sh a=http://127.0.0.1:3001 b=http://127.0.0.1:3002
#
# It needs socat and curl, and these, of which the defaults are what deploy/ has:
#
#   HAPROXY_SOCKET  where HAProxy takes commands (its `stats socket`)
#   BACKEND         the backend that the instances are servers of
#   RESTART         what restarts an instance, up to its name; it returns once the instance serves
set -eu

: "${HAPROXY_SOCKET:=/run/haproxy/admin.sock}"
: "${BACKEND:=instances}"
: "${RESTART:=systemctl restart parley@}"
# A request that HAProxy had given to the instance before it was taken out has arrived by then.
SETTLE_SECONDS=1
# A start may have to upgrade the tables.
READY_SECONDS=900

haproxy() { echo "$1" | socat - "UNIX-CONNECT:$HAPROXY_SOCKET"; }

say() { printf '%s %s\n' "$(date +%T)" "$*"; }

# The state of a server, as HAProxy's checks have it: UP, DOWN, DRAIN, or a change on its way.
state_of() { haproxy "show stat" | awk -F, -v be="$BACKEND" -v name="$1" '$1 == be && $2 == name { print $18 }'; }

# Waits until a command succeeds.
wait_for() {
  waited=0
  until "$@"; do
    waited=$((waited + 1))
    if [ "$waited" -gt $((READY_SECONDS * 5)) ]; then return 1; fi
    sleep 0.2
  done
}

is_ready() { curl --silent --fail --max-time 5 --output /dev/null "$1/ready"; }
is_up() { [ "$(state_of "$1")" = UP ]; }
is_known() { [ -n "$(state_of "$1")" ]; }

[ $# -ge 2 ] || { echo "usage: $0 NAME=URL NAME=URL …; one instance alone cannot be spared" >&2; exit 2; }
for instance in "$@"; do
  name="${instance%%=*}"
  is_known "$name" || { echo "$0: HAProxy's $BACKEND has no server $name" >&2; exit 2; }
  is_up "$name" || { echo "$0: $name is $(state_of "$name"), not UP: nothing was restarted" >&2; exit 1; }
done

for instance in "$@"; do
  name="${instance%%=*}" url="${instance#*=}"
  haproxy "set server $BACKEND/$name state drain" >/dev/null
  # Whatever happens: HAProxy's own checks decide, and nobody has to remember this command.
  trap 'haproxy "set server $BACKEND/$name state ready" >/dev/null' EXIT
  trap 'exit 1' INT TERM
  sleep "$SETTLE_SECONDS"
  say "$name restarts"
  sh -c "$RESTART$name"
  wait_for is_ready "$url" || { say "$name is not ready: the others were left alone"; exit 1; }
  haproxy "set server $BACKEND/$name state ready" >/dev/null
  wait_for is_up "$name" || { say "HAProxy does not reach $name: the others were left alone"; exit 1; }
  trap - EXIT
  say "$name serves"
done
