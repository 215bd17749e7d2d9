#!/bin/bash
# Entry point: "broker ARGUMENTS" or "nameserver ARGUMENTS" starts one, everything else is run as a command.
set -e
role=${NODE_ROLE:-$1}
case $role in
  broker) start=./mqbroker ;;
  nameserver) start=./mqnamesrv ;;
  *) exec "$@" ;;
esac
shift || true
exec "$start" "$@"
