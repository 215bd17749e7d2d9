#!/usr/bin/env bash
# Takes the RocketMQ operator away again. Run with --help for the flags.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
Usage: purge-operator.sh [flags]

Removes what install-operator.sh made: the Deployment, the service account with its rights in every scope, the Lease, the namespace if
install made it and nothing else is in it, and the custom resource definitions if no custom resource of theirs is left in any namespace.

While Brokers, NameServices or TopicTransfers exist the definitions stay, because deleting a definition deletes every object of its kind. Those clusters keep
running without an operator, and a later install takes them up again.

  --namespace NAME     where the operator runs                    (default: rocketmq-operator)
  --context NAME       the context of the kubeconfig to use       (default: the current one)
  --kubeconfig FILE    the kubeconfig to use                      (default: as kubectl does)
  --timeout SECONDS    how long to wait for things to be gone     (default: 180)
  --delete-crds-and-all-clusters
                       also delete every TopicTransfer, Broker and NameService in EVERY namespace, with their pods, and then the
                       definitions. Transfers go first: the operator undoes those that are under way.
                       Persistent volume claims go or stay as each cluster's persistentVolumeClaimRetentionPolicy says.
  --help               this text

Running it again is safe: what is gone is left alone.
TEXT
}

die() { echo "purge-operator.sh: $*" >&2; exit 1; }

namespace=rocketmq-operator context='' kubeconfig='' timeout=180 everything=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --delete-crds-and-all-clusters) everything=yes; shift; continue ;;
    --namespace | --context | --kubeconfig | --timeout)
      [ $# -ge 2 ] || die "$1 needs a value (see --help)"
      case $1 in --namespace) namespace=$2 ;; --context) context=$2 ;; --kubeconfig) kubeconfig=$2 ;; --timeout) timeout=$2 ;; esac
      shift 2 ;;
    *) die "unknown flag '$1' (see --help)" ;;
  esac
done
[[ $namespace =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ ]] || die "--namespace '$namespace' is not the name of a namespace"
[[ $timeout =~ ^[0-9]+$ ]] || die "--timeout '$timeout' is not a number of seconds"

k() { kubectl ${context:+--context "$context"} ${kubeconfig:+--kubeconfig "$kubeconfig"} "$@"; }
indent() { sed 's/^/  /'; }
gone() { k delete --ignore-not-found --timeout="${timeout}s" "$@" | sed '/^No resources found/d; s/^/  /'; }

command -v kubectl >/dev/null || die "kubectl is missing. Debian: apt-get install kubernetes-client; others: https://kubernetes.io/docs/tasks/tools/"
definitions=$(cat "$here"/crds/*.yaml 2>/dev/null | sed -n 's/^  name: \(.*\.rocketmq\.apache\.org\)$/\1/p')
[ -n "$definitions" ] || die "$here/crds holds no YAML: this is not a whole checkout of the project"
used_context=${context:-$(k config current-context 2>/dev/null || echo none)}
server=$(k config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null || echo unknown)
echo "Cluster:  ${server:-unknown} (context ${used_context:-none})"
k get --raw /version --request-timeout=15s >/dev/null ||
  die "the cluster does not answer; nothing was touched. 'kubectl cluster-info' shows why, --context and --kubeconfig choose another one"
echo "Removing: the operator in namespace $namespace${everything:+, every RocketMQ cluster in every namespace, and the definitions}"

mine=rocketmq.apache.org/operator-namespace=$namespace
present=$(k get crd -o name | sed 's|.*/||' | grep -Fx "$definitions" || true)

# Every custom resource there is, one a line. Ends the script where that cannot be told: "none seen" is not "none there".
left() {
  local one
  for one in $present; do
    k get "$one" -A -o jsonpath='{range .items[*]}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}' || return 1
  done
}

# ---- the clusters, where all of them were asked for. The operator still runs, so that each goes in its own order. -------------------
if [ -n "$everything" ] && [ -n "$present" ]; then
  transfers=$(grep '^topictransfers\.' <<<"$present" || true)
  if [ -n "$transfers" ]; then
    gone "$transfers" -A --all --wait=false
    deadline=$((SECONDS + timeout))
    while :; do
      still=$(k get "$transfers" -A -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}') ||
        die "whether TopicTransfers are left cannot be told; nothing else was deleted: run it again"
      [ -n "$still" ] || break
      [ $SECONDS -lt $deadline ] || die "TopicTransfers (namespace, name) that are not undone after $timeout s:
$(indent <<<"$still")
An operator has to run for that, and the brokers of the source have to answer. To give each up, with its topic as it is now:
  kubectl patch topictransfer NAME -n NAMESPACE --type merge -p '{\"metadata\":{\"finalizers\":null}}'"
      sleep 1
    done
  fi
  for one in $present; do [ "$one" = "$transfers" ] || gone "$one" -A --all; done
  deadline=$((SECONDS + timeout))
  while [ -n "$(k get statefulsets,pods -A -l app.kubernetes.io/managed-by=rocketmq-operator -o name)" ]; do
    [ $SECONDS -lt $deadline ] || die "pods of the deleted clusters are still there after $timeout s:
$(k get pods -A -l app.kubernetes.io/managed-by=rocketmq-operator)"
    sleep 1
  done
fi

# ---- the operator -----------------------------------------------------------------------------------------------------------------
made_by_install=''
if k get namespace "$namespace" >/dev/null 2>&1; then
  [ "$(k get namespace "$namespace" -o jsonpath='{.metadata.labels.app\.kubernetes\.io/managed-by}')" != install-operator.sh ] || made_by_install=yes
  gone -n "$namespace" deployments -l "$mine"
  deadline=$((SECONDS + timeout))
  while [ -n "$(k -n "$namespace" get pods -l app.kubernetes.io/name=rocketmq-operator -o name)" ]; do
    [ $SECONDS -lt $deadline ] || die "the operator's pod is still there after $timeout s: kubectl -n $namespace get pods"
    sleep 1
  done
  gone -n "$namespace" lease rocketmq-operator
  gone -n "$namespace" serviceaccounts -l "$mine"
fi
gone clusterrolebindings,clusterroles -l "$mine"
k get rolebindings,roles -A -l "$mine" -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.kind}{" "}{.metadata.name}{"\n"}{end}' |
  while read -r where kind name; do gone -n "$where" "$kind" "$name" </dev/null; done

# Nobody is there any more to tell which name servers know every broker: clients are sent to all of them again.
k get services -A -l app.kubernetes.io/managed-by=rocketmq-operator \
  -o jsonpath='{range .items[?(@.spec.selector.rocketmq\.apache\.org/informed)]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}' |
  while read -r where name; do
    k -n "$where" patch service "$name" --type json -p '[{"op":"remove","path":"/spec/selector/rocketmq.apache.org~1informed"}]' </dev/null | indent
  done

# ---- its namespace ----------------------------------------------------------------------------------------------------------------
# What is in the namespace beside what Kubernetes puts into each one.
others() {
  local kinds
  kinds=$(k api-resources --verbs=list,delete --namespaced -o name | grep -vE '^(events|endpoints)(\.|$)' | paste -sd, -) || return 1
  k get "$kinds" -n "$namespace" --ignore-not-found -o name |
    grep -vE '^(serviceaccount/(default|builder|deployer)|configmap/(kube-root-ca|openshift-service-ca)\.crt|secret/(default|builder|deployer)-.*|rolebinding.*/system:.*|pod\.metrics.*)$' || true
}
if [ -n "$made_by_install" ]; then
  if ! inside=$(others); then
    echo "The namespace $namespace stays: its content cannot be listed."
  elif [ -n "$inside" ]; then
    echo "The namespace $namespace stays, because these are in it:"
    indent <<<"$inside"
  else
    gone namespace "$namespace"
  fi
fi

# ---- the definitions --------------------------------------------------------------------------------------------------------------
other_operators=$(k get deployments -A -l rocketmq.apache.org/operator-namespace -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{end}')
if [ -z "$present" ]; then
  :
elif ! still=$(left); then
  echo "The custom resource definitions stay: whether objects of theirs exist cannot be told."
elif [ -n "$still" ]; then
  echo "The custom resource definitions stay, because deleting them would delete these:"
  indent <<<"$still"
  echo "They keep running without an operator. Delete them first (kubectl delete -f ...), or see --delete-crds-and-all-clusters in --help."
elif [ -n "$other_operators" ] && [ -z "$everything" ]; then
  echo "The custom resource definitions stay: the operator in namespace $other_operators needs them."
else
  # shellcheck disable=SC2086 # one word a definition
  gone crd $present
fi

claims=$(k get pvc -A -l app.kubernetes.io/managed-by=rocketmq-operator -o jsonpath='{range .items[*]}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}')
if [ -n "$claims" ]; then
  echo "Volumes of clusters are kept, as their retention policy says:"
  indent <<<"$claims"
fi
echo "Done."
