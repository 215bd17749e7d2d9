# Starting and stopping the components, and removing whatever an earlier run left behind. Sourced by ../cluster.
# shellcheck shell=bash

# A process is its id and the moment it started: an id alone may by now belong to somebody else.
identity_of() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The fields after the program's name in brackets: the first is the state, the twentieth the start time.
  # shellcheck disable=SC2086
  set -- "$1" ${stat##*) }
  [ "$2" != Z ] || return 1
  echo "$1 ${21} $(cat /proc/sys/kernel/random/boot_id)"
}

alive() {
  local recorded
  recorded=$(cat "$RUN/$1" 2>/dev/null) || return 1
  [ -n "$recorded" ] && [ "$(identity_of "${recorded%% *}")" = "$recorded" ]
}

# start NAME COMMAND...: in the background, in a session of its own, away from the caller's files.
start() {
  local name=$1
  shift
  (cd "$HOME_DIR" && exec setsid "$@" >"$LOGS/$name.log" 2>&1 </dev/null 8>&- 9>&-) &
  identity_of $! >"$RUN/$name"
}

# stop NAME...: asks all of them to end, and ends those that have not within 5 s.
stop() {
  local name pid deadline=$((SECONDS + 5))
  for name; do
    alive "$name" && read -r pid _ <"$RUN/$name" && kill "$pid" 2>/dev/null
  done
  for name; do
    while alive "$name" && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    alive "$name" && read -r pid _ <"$RUN/$name" && kill -KILL "$pid" 2>/dev/null
    while alive "$name"; do sleep 0.1; done
    rm -f "$RUN/$name"
  done
  return 0
}

# The folders of every cgroup hierarchy that has one for this cluster's pods.
cgroups() {
  local dir
  for dir in "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    [ -d "$dir" ] && echo "$dir"
  done
  return 0
}

make_cgroups() {
  local dir
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$CGROUP"
    for dir in /sys/fs/cgroup "/sys/fs/cgroup/$CGROUP"; do
      sed 's/[a-z_][a-z_]*/+&/g' "$dir/cgroup.controllers" >"$dir/cgroup.subtree_control" || true
    done
    return
  fi
  for dir in /sys/fs/cgroup/*/; do
    [ -e "$dir/cgroup.procs" ] && [ ! -e "$dir/cgroup.controllers" ] && mkdir -p "$dir$CGROUP"
    if [ -e "$dir$CGROUP/cpuset.cpus" ]; then
      cat "$dir/cpuset.cpus" >"$dir$CGROUP/cpuset.cpus"
      cat "$dir/cpuset.mems" >"$dir$CGROUP/cpuset.mems"
    fi
  done
  return 0
}

# The processes of containers (those in this cluster's control groups) and the shims between them and our containerd.
container_processes() {
  local dir cmdline
  cgroups | while read -r dir; do find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null; done
  for cmdline in /proc/[0-9]*/cmdline; do
    case $(tr '\0' ' ' 2>/dev/null <"$cmdline") in
      *containerd-shim*"$CONTAINERD/containerd.sock"*) cmdline=${cmdline%/cmdline} && echo "${cmdline#/proc/}" ;;
    esac
  done
}

end_containers() {
  local pids deadline=$((SECONDS + 10))
  while pids=$(container_processes | sort -nu | xargs) && [ -n "$pids" ]; do
    [ $SECONDS -lt $deadline ] || fail "these processes of containers do not end: $pids"
    # Whoever ended since is no failure.
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
  return 0
}

mounts() { awk -v home="$HOME_DIR/" 'index($5, home) == 1 { print $5 }' /proc/self/mountinfo | tac; }

# Leaves the images, and forgets the containers that containerd still remembers.
forget_containers() {
  local id
  ctr containers ls -q | while read -r id; do
    ctr tasks delete --force "$id" >/dev/null 2>&1 || true
    ctr containers delete "$id" >/dev/null 2>&1 || true
  done
}

containerd_up() { # WHAT-FOR
  start containerd containerd --config "$CONFIG/containerd.toml"
  BLAME=containerd wait_for 20 "$1" ctr version
}

# Whether something of an earlier run is left, running or not.
remains() {
  [ -n "$(ls -A "$RUN" 2>/dev/null)" ] || [ -d "$HOME_DIR/etcd" ] || [ -d "$CONTAINERD/state" ] || [ -n "$(mounts)" ] ||
    [ -n "$(cgroups)" ] || [ "$(owner)" = "$HOME_DIR" ]
}

# sweep: nothing of this cluster is left but images, logs and builds. Right in any state: everything runs, something
# died, or everything was killed without a word and only files, mounts and links are left.
sweep() {
  local path name
  # First those who would start things anew, then what they started, at last what all the others need.
  stop kube-controller-manager kube-scheduler kubelet local-path-provisioner coredns kube-proxy
  stop kube-apiserver
  stop etcd
  end_containers
  if [ -d "$CONTAINERD/root/io.containerd.metadata.v1.bolt" ] &&
    [ -n "$(ls -A "$CONTAINERD/root/io.containerd.grpc.v1.cri/sandboxes" 2>/dev/null)" ]; then
    # A containerd without its Kubernetes part, which would try to revive what it remembers.
    stop containerd
    configuration
    sed -i '1a disabled_plugins = ["io.containerd.grpc.v1.cri"]' "$CONFIG/containerd.toml"
    mkdir -p "$RUN" "$LOGS"
    containerd_up "forgetting the containers of the earlier run"
    forget_containers
  fi
  stop containerd
  end_containers

  while read -r path; do
    [ -z "$path" ] || umount "$path" 2>/dev/null || umount --lazy "$path" || true
  done < <(mounts)
  [ -z "$(mounts)" ] || fail "cannot unmount, so nothing below is removed: $(mounts | xargs)"
  # containerd puts its shims' sockets elsewhere, and their places into these files.
  for path in "$CONTAINERD"/state/io.containerd.runtime.v2.task/k8s.io/*/address; do
    [ -e "$path" ] && path=$(cat "$path") && rm -f "${path#unix://}"
  done
  for path in /var/log/containers/*; do
    case $(readlink "$path" 2>/dev/null) in "$LOGS"/*) rm -f "$path" ;; esac
  done
  cgroups | while read -r path; do find "$path" -depth -type d -exec rmdir {} +; done
  rm -rf "$RUN" "$HOME_DIR"/{build,config,etcd,etcd.sock,ipam,kubeconfig,kubelet,pki,volumes} "$CONTAINERD"/{state,runc,containerd.sock,containerd.sock.ttrpc} \
    "$CONTAINERD"/root/io.containerd.grpc.v1.cri

  [ "$(owner)" = "$HOME_DIR" ] || return 0
  for name in ip ip6; do nft delete table $name kube-proxy 2>/dev/null || true; done
  [ ! -e "$HOME_DIR/sysctl" ] || while read -r path name; do echo "$name" >"$path"; done <"$HOME_DIR/sysctl"
  rm -f "$HOME_DIR/sysctl"
  ip route del unreachable "$RANGE" 2>/dev/null || true
  ip link del "$LINK" 2>/dev/null || true
}
