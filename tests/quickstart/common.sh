# What the scripts behind `make` share. Sourced by tests/quickstart/{up,down}, tests/all and tests/local; needs bash 3.2 and plain kubectl.
# shellcheck shell=bash disable=SC2034 # some of this is for its callers only
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cluster=$repo/tests/cluster/cluster
state=$repo/target/quickstart # what `up` did, for `down`; and the logs
begun=$SECONDS

die() { printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
say() { printf '%s\n' "$*"; }
indent() { sed 's/^/  /'; }
clock() { printf '%d:%02d' $((SECONDS - begun > 0 ? (SECONDS - begun) / 60 : 0)) $(((SECONDS - begun) % 60)); }
headline() { printf '\n==> [%s] %s\n' "$(clock)" "$*"; }

# ---- tools ------------------------------------------------------------------------------------------------------------------------
# The Debian package that brings a command; a word in brackets where there is none.
package_of() {
  case $1 in
    java | javac) echo openjdk-17-jdk-headless ;;
    mvn) echo maven ;;
    go) echo golang ;; # Debian 13's; older ones cannot fetch the Go that tests/cluster asks for
    cargo) echo '(none: https://rustup.rs, version 1.95 or newer)' ;;
    cc) echo gcc libc6-dev ;;
    kubectl) echo kubernetes-client ;;
    *) echo "$1" ;;
  esac
}

# Ends with a list of what is missing and how to get it; as root on Debian it gets what it can by itself.
need_tools() {
  local tool missing=() packages=()
  for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    for tool in "${missing[@]}"; do
      case $(package_of "$tool") in \(*) ;; *) packages+=("$(package_of "$tool")") ;; esac
    done
    if [ ${#packages[@]} -gt 0 ]; then
      say "Installing Debian packages: ${packages[*]}"
      apt-get update -q >/dev/null
      # shellcheck disable=SC2068 # "gcc libc6-dev" is two packages
      DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends ${packages[@]} </dev/null >/dev/null
    fi
    hash -r
  fi
  packages=()
  for tool in "${missing[@]}"; do
    command -v "$tool" >/dev/null || packages+=("  $tool    Debian package: $(package_of "$tool")")
  done
  [ ${#packages[@]} -eq 0 ] || die "these tools are missing:
$(printf '%s\n' "${packages[@]}")"
}

# Ends where Go is too old to fetch the version that tests/cluster asks for by itself.
need_new_go() {
  local minor
  minor=$(go version | sed -nE 's/^go version go1\.([0-9]+).*/\1/p')
  [ "${minor:-99}" -ge 21 ] || die "$(go version) is too old: tests/cluster needs Go 1.21 or newer (Debian 13, or https://go.dev/dl)"
}

# ---- the project's own cluster ----------------------------------------------------------------------------------------------------
own_cluster_up() {
  [ "$(uname -s)/$(id -u)" = Linux/0 ] ||
    die "the project's own cluster needs Linux and root. Run this as root, or start a kind, minikube or Docker Desktop cluster, or name one: CONTEXT=..."
  need_new_go
  "$cluster" up </dev/null
  use_own_cluster
}
# Points this script, and nothing else, at the project's own cluster.
use_own_cluster() {
  KUBECONFIG=$("$cluster" kubeconfig)
  export KUBECONFIG
  KUBE_CONTEXT=''
  # The cluster brings a kubectl of its own version, for machines without one.
  if ! command -v kubectl >/dev/null; then
    mkdir -p "$repo/target/bin"
    printf '#!/bin/sh\nexec "%s" kubectl "$@"\n' "$cluster" >"$repo/target/bin/kubectl"
    chmod +x "$repo/target/bin/kubectl"
    PATH=$PATH:$repo/target/bin
  fi
}
k() { kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} "$@"; }
