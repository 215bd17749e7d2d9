#!/bin/sh
# Starts RocketMQ in its container, and stops it cleanly. Written by rocketmq-operator into a ConfigMap; do not edit.
#
#   start.sh broker|namesrv      start, hand SIGTERM to the JVM, wait until it is gone
#   start.sh own [UID:GID]       as root, before the start: give the data folders of a hostPath to RocketMQ's user
#
# POSIX sh, so that it runs under dash, bash and busybox. What the environment says:
#   ROCKETMQ_HOME                  where RocketMQ is installed (from the image)
#   NAMESRV_ADDR                   the name servers of a broker
#   ROCKETMQ_LIVE_CONFIG           what a running broker also takes without a restart, as it is now
#   ROCKETMQ_ADVERTISED_ADDRESS    what clients and replicas of a broker dial
#   ROCKETMQ_JVM_OPTIONS           spec.jvmOptions; beats BROKER_MEM, which beats JAVA_OPT_EXT, which beats what is computed
set -euf

base=/rocketmq
# How long a name server goes on serving once it is told to stop, seconds: nodes take about one to send nobody new to it.
farewell=3
parts=/etc/rocketmq-operator/config

fail() {
  echo "rocketmq-operator: $*" >&2
  exit 1
}

# The memory this container may use, MiB: its cgroup's limit, or without one a quarter of the machine's, at most 4 GiB.
memory() {
  machine=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo) / 1024))
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
  case $limit in
  '' | *[!0-9]*) limit=$machine ;;
  *) limit=$((limit / 1048576)) ;;
  esac
  if [ "$limit" -ge "$machine" ]; then
    limit=$((machine / 4))
    [ "$limit" -le 4096 ] || limit=4096
  fi
  echo "$limit"
}

# The value of the last option in $given that starts with $1.
given() {
  value=
  for option in $options; do
    case $option in "$1"*) value=${option#"$1"} ;; esac
  done
  echo "$value"
}

# The heap and direct memory that the user's options leave open: half of a small container, a quarter of a large one,
# and as much as a quarter of it outside the heap, where RocketMQ keeps its network buffers.
sized() {
  options=$*
  memory=$(memory)
  half=$((memory / 2)) quarter=$((memory / 4))
  [ "$half" -le 1024 ] || half=1024
  [ "$quarter" -le 8192 ] || quarter=8192
  heap=$half
  [ "$quarter" -le "$heap" ] || heap=$quarter
  direct=$((memory / 4))
  [ "$direct" -ge 64 ] || direct=64
  xms=$(given -Xms) xmx=$(given -Xmx)
  if [ -z "$xms$xmx" ]; then
    echo "-Xms${heap}m -Xmx${heap}m -Xmn$((heap / 2))m"
  else
    [ -n "$xms" ] || echo "-Xms$xmx"
    [ -n "$xmx" ] || echo "-Xmx$xms"
  fi
  [ -n "$(given -XX:MaxDirectMemorySize=)" ] || echo "-XX:MaxDirectMemorySize=${direct}m"
}

# The configuration, later parts winning: the advertised address, the operator's parts in the order of their names,
# what running brokers take live, and the name
# servers as they are now.
configure() {
  printf 'brokerIP1=%s\nbrokerIP2=%s\n' "$ROCKETMQ_ADVERTISED_ADDRESS" "$ROCKETMQ_ADVERTISED_ADDRESS"
  for part in 10-defaults 20-common 30-spec 40-identity; do
    [ ! -f "$parts/$part.conf" ] || { echo && echo && cat "$parts/$part.conf"; }
  done
  printf '\n\n%s\nnamesrvAddr=%s\n' "${ROCKETMQ_LIVE_CONFIG:-}" "$NAMESRV_ADDR"
}

# The process ids of RocketMQ's JVM. Other JVMs in the container, such as mqadmin's, are none of our business.
jvms() {
  set +f
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -Eq '^[^ ]*java .*\.(BrokerStartup|NamesrvStartup|BrokerContainerStartup|ProxyStartup)( |$)'; then
      echo "${process#/proc/}"
    fi
  done
  set -f
}

stopping=
stop() {
  if [ -z "$stopping" ]; then
    stopping=yes
    [ "$role" = broker ] || sleep "$farewell"
  fi
  for jvm in $(jvms); do kill -TERM "$jvm" 2>/dev/null || true; done
}

start() {
  trap stop TERM INT
  sh "$ROCKETMQ_HOME/bin/$1" ${2:+-c "$2"} &
  child=$!
  wait "$child" || true
  # A signal ends the wait, not the child; a JVM that was only being started then is told as soon as it is there.
  while kill -0 "$child" 2>/dev/null; do
    [ -z "$stopping" ] || stop
    sleep 1
  done
  # The script that started the JVM may end before it does.
  while [ -n "$(jvms)" ]; do sleep 1; done
  status=0
  wait "$child" || status=$?
  exit "$status"
}

own() {
  owner=${1:-}
  [ -n "$owner" ] || owner=$(stat -c %u:%g "${ROCKETMQ_HOME:-/}")
  for folder in "$base"/*; do
    case $folder in "$base/run") continue ;; esac
    [ "$(stat -c %u:%g "$folder")" = "$owner" ] || chown -R "$owner" "$folder"
  done
}

role=${1:-}
case $role in
broker | namesrv) ;;
own)
  set +f
  own "${2:-}"
  exit 0
  ;;
*) fail "usage: start.sh broker|namesrv|own [UID:GID]" ;;
esac

[ -n "${ROCKETMQ_HOME:-}" ] || fail "the image sets no ROCKETMQ_HOME; set it in spec.env"
[ -f "$ROCKETMQ_HOME/bin/mq$role" ] || fail "the image has no $ROCKETMQ_HOME/bin/mq$role; is it a RocketMQ image?"

users="${JAVA_OPT_EXT:-} ${BROKER_MEM:-} ${ROCKETMQ_JVM_OPTIONS:-}"
# shellcheck disable=SC2086 # options are words
JAVA_OPT_EXT="$(sized $users | tr '\n' ' ')$users -Duser.home=$base -Dsun.net.inetaddr.ttl=5 -Dsun.net.inetaddr.negative.ttl=1"
export JAVA_OPT_EXT
# What the operator composed above is all there is: image scripts that read these themselves would apply them twice.
unset BROKER_MEM ROCKETMQ_JVM_OPTIONS
cd "$ROCKETMQ_HOME/bin"

if [ "$role" = broker ]; then
  configure >"$base/run/broker.conf"
  start mqbroker "$base/run/broker.conf"
else
  start mqnamesrv
fi
