# What the cluster is made of: Debian packages, and Go programs built once per state of their sources. Sourced by ../cluster.
# shellcheck shell=bash

KUBERNETES=1.34.4
PACKAGES="containerd runc containernetworking-plugins nftables iproute2 openssl busybox-static"

packages() {
  local missing name
  missing=$(for name in $PACKAGES; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done | xargs)
  [ -z "$missing" ] && return
  command -v apt-get >/dev/null || fail "needs these programs of Debian's packages of the same names: $missing"
  say "installing Debian packages: $missing"
  mkdir -p "$LOGS"
  # A daemon that a package starts is not ours: containerd's own service does no harm beside this one.
  # shellcheck disable=SC2086
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $missing; } \
    >"$LOGS/packages.log" 2>&1 </dev/null || { tail -n 15 "$LOGS/packages.log" >&2; fail "apt-get could not install $missing"; }
}

# The folder of the programs built from the present sources.
bin() {
  [ -n "${BIN:-}" ] || BIN=$CACHE_DIR/$({
    echo "1 $KUBERNETES $(uname -m)"
    cd "$HERE" && sha256sum ./{kube,coredns}/go.{mod,sum} ./{kube,kube/pause,kube/probe,coredns}/main.go
  } | sha256sum | cut -c 1-16)
  echo "$BIN"
}

# compile NAME MODULE PACKAGE [LDFLAGS]
compile() {
  local out=$BIN.new/$1 log=$LOGS/build-$1.log
  (cd "$HERE/$2" && CGO_ENABLED=0 GOFLAGS='' nice -n 5 go build -v -mod=readonly -trimpath -buildvcs=false \
    -ldflags "-s -w ${4:-}" -o "$out" "$3" 2>&1) | tee "$log" | awk -v name="$1" -v t0="$(date +%s)" '
      /^go: downloading/ { modules++ }
      /^[a-z].*\// && !/^go: / { packages++ }
      { "date +%s" | getline now; close("date +%s")
        if (now - last >= 15) { printf "          %s: %d modules fetched, %d packages compiled, %d s\n", name, modules, packages, now - t0; last = now } }' >&2
  [ "${PIPESTATUS[0]}" = 0 ] || { grep -v '^go: downloading' "$log" | tail -n 20 >&2; fail "could not build $1 (all of its output: $log)"; }
}

build() {
  local version=k8s.io/component-base/version name
  bin >/dev/null
  [ -x "$BIN/kube" ] && return
  command -v go >/dev/null || fail "needs Go 1.24 or newer to build Kubernetes; there is no 'go' on the PATH"
  mkdir -p "$LOGS" "$CACHE_DIR"
  exec 8>"$CACHE_DIR/lock" && flock 8
  [ -x "$BIN/kube" ] && return
  say "building Kubernetes $KUBERNETES, etcd, CoreDNS and the volume provisioner (about 10 minutes on 2 cores; once)"
  rm -rf "$BIN.new" && mkdir -p "$BIN.new"
  compile pause kube ./pause
  compile probe kube ./probe
  compile kube kube . "-X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=34 -X $version.gitTreeState=clean"
  compile local-path-provisioner kube github.com/rancher/local-path-provisioner
  compile coredns coredns .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -s kube "$BIN.new/$name"
  done
  mv "$BIN.new" "$BIN"
  # Builds of other branches are worth keeping, of last month's sources not.
  find "$CACHE_DIR" -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm -rf {} +
  say "built into $BIN"
  exec 8>&-
}

# The one image that the cluster itself needs, as `docker save` writes them: the pods' pause program, and a shell for the
# pods that make and remove volumes and for the cluster's own test.
base_image() {
  local work layer applet
  work=$(mktemp -d)
  mkdir -p "$work/root"/{bin,tmp,etc}
  chmod 1777 "$work/root/tmp"
  cp "$BIN/pause" "$work/root/pause"
  cp "$BIN/probe" "$(command -v busybox)" "$work/root/bin/"
  for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
  done
  printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' >"$work/root/etc/passwd"
  tar -C "$work/root" --owner=0 --group=0 --sort=name --mtime=@0 -cf "$work/layer.tar" .
  layer=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
  cat >"$work/config.json" <<J
{"architecture": "$(go_arch)", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["/pause"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
J
  printf '[{"Config": "config.json", "RepoTags": ["%s"], "Layers": ["layer.tar"]}]' "$IMPORTED_BY_US" >"$work/manifest.json"
  tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
  ctr images import "$work/image.tar" >>"$LOGS/images.log" 2>&1 || fail "could not import the base image ($LOGS/images.log)"
  rm -rf "$work"
}

go_arch() {
  case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac
}
