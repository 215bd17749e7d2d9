# Which cluster the quickstart may touch. Sourced; choose_cluster sets:
#   CLUSTER      named | kind | minikube | docker-desktop | own-kind | own
#   KUBE_CONTEXT the context to use, empty for the project's own cluster, which has a kubeconfig of its own
#   WHY          the reason, for people
# The rule: the project's own, if OWN_CLUSTER says so (tests do); the cluster that CONTEXT names; else the current context, but only where it is one that kind, minikube or Docker Desktop made and
# its server is this machine; else a cluster of the project's own. A KUBECONFIG that happens to be exported never leads to a remote cluster.
# shellcheck shell=bash disable=SC2034 # what it sets is for its caller

# The host of the API server of a context, without scheme and port.
server_host() {
  kubectl config view --minify --context "$1" -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null |
    sed -E 's|^[a-z]+://||; s|/.*||; s|:[0-9]+$||; s|^\[(.*)\]$|\1|'
}

# Whether an API server's host is this machine: loopback, Docker Desktop's name for it, or the address minikube gives for its own machine.
is_this_machine() { # host context
  case $1 in
    127.* | localhost | ::1 | kubernetes.docker.internal | host.docker.internal) return 0 ;;
  esac
  [ "$2" = minikube ] && command -v minikube >/dev/null && [ -n "$1" ] && [ "$1" = "$(minikube ip 2>/dev/null)" ]
}

choose_cluster() {
  local current host
  CLUSTER=own KUBE_CONTEXT='' WHY=''
  if [ -n "${OWN_CLUSTER:-}" ]; then
    WHY="OWN_CLUSTER asks for it"
    return
  fi
  if [ -n "${CONTEXT:-}" ]; then
    command -v kubectl >/dev/null || die "CONTEXT=$CONTEXT needs kubectl (Debian: kubernetes-client)"
    kubectl config get-contexts "$CONTEXT" >/dev/null 2>&1 ||
      die "there is no context '$CONTEXT'. There are: $(kubectl config get-contexts -o name | paste -sd' ' -)"
    case $CONTEXT in
      kind-*) CLUSTER=kind ;; minikube) CLUSTER=minikube ;; docker-desktop) CLUSTER=docker-desktop ;; *) CLUSTER=named ;;
    esac
    is_this_machine "$(server_host "$CONTEXT")" "$CONTEXT" || CLUSTER=named
    KUBE_CONTEXT=$CONTEXT WHY="CONTEXT names it"
    return
  fi
  if command -v kubectl >/dev/null; then
    current=$(kubectl config current-context 2>/dev/null || true)
    case $current in
      kind-*) CLUSTER=kind ;; minikube) CLUSTER=minikube ;; docker-desktop) CLUSTER=docker-desktop ;;
    esac
    if [ "$CLUSTER" != own ]; then
      host=$(server_host "$current")
      if is_this_machine "$host" "$current"; then
        KUBE_CONTEXT=$current WHY="kubectl points at it, and it is on this machine"
        return
      fi
      CLUSTER=own
    fi
    [ -z "$current" ] || WHY="kubectl points at '$current', which is not a local cluster of kind, minikube or Docker Desktop: left alone (CONTEXT=$current would use it)"
  fi
  if docker info >/dev/null 2>&1 && command -v kind >/dev/null; then
    CLUSTER=own-kind KUBE_CONTEXT=kind-rocketmq-operator
    WHY="${WHY:+$WHY; }Docker and kind are here"
  else
    WHY="${WHY:+$WHY; }made for this from the project's tests/cluster"
  fi
}
