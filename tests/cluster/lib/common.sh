# Where things are, and the words every other part uses. Sourced by ../cluster.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the other parts use what is named here

HOME_DIR=${ROCKETMQ_CLUSTER_HOME:-/var/tmp/rocketmq-operator-cluster}
CACHE_DIR=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rocketmq-operator/cluster

RUN=$HOME_DIR/run             # one file per running component: its process id and start time
LOGS=$HOME_DIR/logs           # kept after `down`, replaced by the next `up`
PKI=$HOME_DIR/pki
CONFIG=$HOME_DIR/config
KUBECONFIG_DIR=$HOME_DIR/kubeconfig
CONTAINERD=$HOME_DIR/containerd   # images stay here between runs
IMPORTED_BY_US=docker.io/rocketmq-tests/cluster:1
export KUBECONFIG=$KUBECONFIG_DIR/admin

# Everything lives in the benchmarking range 198.18.0.0/15, so no network of the machine is touched.
RANGE=198.18.0.0/15 PODS=198.18.0.0/16 SERVICES=198.19.0.0/17
NODE_NAME=node-0 NODE=198.19.255.10 API_SERVICE=198.19.0.1 DNS_SERVICE=198.19.0.10
API=https://$NODE:6443
LINK=rocketmq-node            # the empty bridge that carries the node's address
# Every pod's control group is below this one; with a folder of its own a cluster has a control group of its own.
CGROUP=rocketmq-cluster${ROCKETMQ_CLUSTER_HOME:+-$(cksum <<<"$HOME_DIR" | cut -d ' ' -f 1)}

STARTED=$(date +%s%N)
say() {
  local ms=$((($(date +%s%N) - STARTED) / 1000000))
  printf '[%3d.%d s] %s\n' $((ms / 1000)) $((ms / 100 % 10)) "$*" >&2
}
fail() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

kubectl() { "$(bin)/kubectl" "$@"; }
ctr() { command ctr --address "$CONTAINERD/containerd.sock" --namespace k8s.io "$@"; }

# The folder of the cluster that has the addresses at present, if any.
owner() { ip link show "$LINK" 2>/dev/null | awk '$1 == "alias" { print $2 }'; }

need_root() {
  [ "$(id -u)" = 0 ] || fail "'$1' starts a kubelet and containers, which needs root: run it again as root (sudo -E env PATH=\"\$PATH\" $0 $1)"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds. Ends everything with the logs' last lines when a
# component dies meanwhile or the time is over.
wait_for() {
  local seconds=$1 what=$2 deadline name
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    for name in "$RUN"/*; do
      name=${name##*/}
      [ "$name" = '*' ] || alive "$name" || blame "$name" "$name ended while waiting for: $what"
    done
    [ $SECONDS -lt $deadline ] || blame "${BLAME:-}" "not within $seconds s: $what"
    sleep 0.2
  done
  say "$what"
}

# blame COMPONENT WHY: why `up` failed, with the component's last words, or every component's when none is suspected.
blame() {
  local name
  printf '\ncluster: %s\n' "$2" >&2
  for name in ${1:-$(ls "$RUN")}; do
    printf -- '--- the last lines of %s\n' "$LOGS/$name.log" >&2
    tail -n 15 "$LOGS/$name.log" >&2 || true
  done
  exit 1
}
