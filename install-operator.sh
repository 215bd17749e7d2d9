#!/usr/bin/env bash
# Installs the RocketMQ operator, or brings an installed one to this version. Run with --help for the flags.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
Usage: install-operator.sh [flags]

Installs the RocketMQ operator into the Kubernetes cluster that kubectl points at: the custom resource definitions, a namespace, a service
account with its rights, and the Deployment. Running it again is the way to upgrade, and to change any of the flags; clusters keep running.

  --namespace NAME     where the operator itself runs             (default: rocketmq-operator)
  --image IMAGE        the operator's image                       (default: the one in deploy/deployment.yaml)
  --watch all|NS,NS    namespaces whose clusters it looks after   (default: all)
                       with a list it gets rights in these namespaces only
  --context NAME       the context of the kubeconfig to use       (default: the current one)
  --kubeconfig FILE    the kubeconfig to use                      (default: as kubectl does)
  --timeout SECONDS    how long to wait for the operator          (default: 180)
  --print              print the YAML that would be applied, without the CRDs, and touch nothing
  --help               this text

purge-operator.sh takes it away again.
TEXT
}

die() { echo "install-operator.sh: $*" >&2; exit 1; }

namespace=rocketmq-operator image='' watch=all context='' kubeconfig='' timeout=180 print=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --print) print=yes; shift; continue ;;
    --namespace | --image | --watch | --context | --kubeconfig | --timeout)
      [ $# -ge 2 ] || die "$1 needs a value (see --help)"
      case $1 in
        --namespace) namespace=$2 ;; --image) image=$2 ;; --watch) watch=$2 ;;
        --context) context=$2 ;; --kubeconfig) kubeconfig=$2 ;; --timeout) timeout=$2 ;;
      esac
      shift 2 ;;
    *) die "unknown flag '$1' (see --help)" ;;
  esac
done

label_name='^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
[[ $namespace =~ $label_name ]] || die "--namespace '$namespace' is not the name of a namespace"
[[ $timeout =~ ^[0-9]+$ ]] || die "--timeout '$timeout' is not a number of seconds"
[[ $image =~ [[:space:]\"\\\|\&] ]] && die "--image '$image' is not the name of an image"
watched=() # empty: all namespaces
if [ "$watch" != all ]; then
  IFS=, read -ra watched <<<"$watch"
  [ ${#watched[@]} -gt 0 ] || die "--watch wants 'all' or a list of namespaces"
  for one in "${watched[@]}"; do
    [[ $one =~ $label_name ]] || die "--watch: '$one' is not the name of a namespace (a list has commas and no spaces)"
  done
fi

k() { kubectl ${context:+--context "$context"} ${kubeconfig:+--kubeconfig "$kubeconfig"} "$@"; }
indent() { sed "s/^/  /; s/ *\$//"; }
apply() { k apply --server-side --force-conflicts --field-manager=install-operator -f "${1:--}" | indent; }

# One file of deploy/ with the flags worked in. With a second argument cluster-wide rights become rights in that namespace.
render() {
  awk -v ns="$namespace" -v image="$image" -v watch="$watch" -v within="${2:-}" '
    /^ *(- )?namespace: rocketmq-operator$/ || /operator-namespace: rocketmq-operator$/ { sub(/rocketmq-operator$/, ns) }
    /^ +image: / && image != "" { sub(/image: .*/, "image: \"" image "\"") }
    /name: WATCH_NAMESPACE/ { in_watch = 1 }
    in_watch && /value: ""/ { sub(/""/, "\"" (watch == "all" ? "" : watch) "\""); in_watch = 0 }
    within != "" { sub(/kind: ClusterRole/, "kind: Role") }
    { print }
    within != "" && /^metadata:/ { print "  namespace: " within }
  ' "$here/deploy/$1"
}
namespace_yaml() {
  # The mark by which purge-operator.sh knows that this namespace may go again.
  awk -v ns="$namespace" '
    /^  name: / { print "  name: " ns; next }
    { print }
    /^  labels:/ { print "    app.kubernetes.io/managed-by: install-operator.sh" }
  ' "$here/deploy/namespace.yaml"
}
rights_yaml() {
  local one
  if [ ${#watched[@]} -eq 0 ]; then
    render role.yaml; echo ---; render role_binding.yaml
  else
    for one in "${watched[@]}"; do render role.yaml "$one"; echo ---; render role_binding.yaml "$one"; echo ---; done
  fi
}

if [ -n "$print" ]; then
  namespace_yaml; echo ---; render service_account.yaml; echo ---; rights_yaml; echo ---; render leader_election.yaml; echo ---; render deployment.yaml
  exit 0
fi

# ---- where ------------------------------------------------------------------------------------------------------------------------
command -v kubectl >/dev/null || die "kubectl is missing. Debian: apt-get install kubernetes-client; others: https://kubernetes.io/docs/tasks/tools/"
compgen -G "$here/crds/*.yaml" >/dev/null || die "$here/crds holds no YAML: this is not a whole checkout of the project"
used_context=${context:-$(k config current-context 2>/dev/null || echo none)}
server=$(k config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null || echo unknown)
echo "Cluster:  ${server:-unknown} (context ${used_context:-none})"
version=$(k get --raw /version --request-timeout=15s | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p') ||
  die "the cluster does not answer; nothing was touched. 'kubectl cluster-info' shows why, --context and --kubeconfig choose another one"
shown_image=${image:-$(sed -n 's/^ *image: //p' "$here/deploy/deployment.yaml")}
echo "Operator: $shown_image in namespace $namespace, looking after $([ "$watch" = all ] && echo "all namespaces" || echo "the namespaces ${watch//,/, }") (Kubernetes $version)"

# ---- may it be? -------------------------------------------------------------------------------------------------------------------
for one in ${watched[@]+"${watched[@]}"}; do
  k get namespace "$one" >/dev/null 2>&1 || die "the namespace '$one' of --watch does not exist. Make it first: kubectl create namespace $one"
done
# Two operators on the same objects undo each other's work. A list that may not be read (no right to it) is not a reason to stop.
others=$(k get deployments -A -o jsonpath='{range .items[*]}{.metadata.namespace}{"|"}{.metadata.name}{"|"}{.spec.replicas}{"|"}{.metadata.labels.rocketmq\.apache\.org/operator-namespace}{"|"}{.spec.template.spec.containers[0].env[?(@.name=="WATCH_NAMESPACE")].value}{"\n"}{end}' 2>/dev/null |
  grep -E '^[^|]*\|[^|]*rocketmq-operator\|' || true)
while IFS='|' read -r other_ns other_name replicas ours scope; do
  [ -n "$other_ns" ] || continue
  if [ -z "$ours" ]; then
    if [ "$replicas" != 0 ] || [ "$other_ns/$other_name" = "$namespace/rocketmq-operator" ]; then
      die "another RocketMQ operator (the Go one?) is installed: Deployment $other_name in namespace $other_ns.
  Take away its Deployment and nothing else (never its CRDs: that would delete your clusters), then run this again:
    kubectl -n $other_ns delete deployment $other_name"
    fi
  elif [ "$other_ns" != "$namespace" ]; then
    for one in ${watched[@]+"${watched[@]}"}; do [[ ",$scope," == *",$one,"* ]] && scope=''; done
    if [ -z "$scope" ] || [ "$watch" = all ]; then
      die "namespace $other_ns already runs this operator for the same clusters.
  Upgrade that one with --namespace $other_ns, or purge it first: ./purge-operator.sh --namespace $other_ns"
    fi
  fi
done <<<"$others"

# ---- apply ------------------------------------------------------------------------------------------------------------------------
echo "Custom resource definitions:"
apply "$here/crds"
for file in "$here"/crds/*.yaml; do
  k wait --for=condition=Established --timeout="${timeout}s" -f "$file" >/dev/null
done

phase() { k get namespace "$namespace" --ignore-not-found -o jsonpath='{.status.phase}/{.metadata.labels.app\.kubernetes\.io/managed-by}'; }
deadline=$((SECONDS + timeout))
while [[ $(phase) == Terminating/* ]]; do
  [ $SECONDS -lt $deadline ] || die "the namespace $namespace is still being deleted; run this again when it is gone"
  sleep 1
done
echo "Namespace, service account, rights:"
case $(phase) in
  '' | */install-operator.sh) namespace_yaml | apply ;;
  *) echo "  namespace/$namespace was there already and stays as it is" ;;
esac
render service_account.yaml | apply
rights_yaml | apply
render leader_election.yaml | apply
echo "Deployment:"
render deployment.yaml | apply

# ---- wait -------------------------------------------------------------------------------------------------------------------------
on() { k -n "$namespace" "$@"; }
selector=app.kubernetes.io/name=rocketmq-operator
# Empty when this generation's pod is there, ready, and the only one.
missing() {
  on get deployment rocketmq-operator -o jsonpath='{.metadata.generation} {.status.observedGeneration} {.status.replicas} {.status.updatedReplicas} {.status.availableReplicas}' |
    awk '$1 == $2 && $3 == 1 && $4 == 1 && $5 == 1 { exit } { print "not yet" }'
}
pods() {
  on get pods -l "$selector" -o jsonpath='{range .items[*]}{.metadata.name}{": "}{.status.phase}{" "}{.status.containerStatuses[0].state.waiting.reason}{"\n"}{end}'
  on get deployment rocketmq-operator -o jsonpath='{.status.conditions[?(@.type=="ReplicaFailure")].message}'
}
explain() {
  local state reason
  state=$(pods) reason=$(on get pods -l "$selector" -o jsonpath='{.items[*].status.containerStatuses[*].state.waiting.reason}')
  {
    echo
    echo "The operator did not become available within $timeout s. What the cluster says:"
    on get deployment,pods -l "$selector" -o wide
    echo; echo "Events:"; on get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 12
    echo; echo "Log:"; on logs deployment/rocketmq-operator --tail=20 2>&1 || true
    on logs -l "$selector" --previous --tail=20 2>/dev/null || true
    on get pods -l "$selector" -o jsonpath='{range .items[*].status.containerStatuses[*].lastState.terminated}{"Its last run ended with code "}{.exitCode}{" ("}{.reason}{")\n"}{end}'
    echo
    case "$reason $state" in
      *ImagePull* | *ErrImage* | *InvalidImageName*)
        echo "What to do: the node cannot get the image $shown_image. Push it to a registry that the nodes reach and name it with --image,"
        echo "or load it into the nodes (kind load docker-image, minikube image load)." ;;
      *CrashLoop* | *Error*) echo "What to do: the operator starts and stops again; its log and exit code above say why. Code 137 means it was killed, for example for its memory limit." ;;
      *forbidden*) echo "What to do: a policy of the cluster or the namespace refuses the pod; the message above names it." ;;
      *Pending*) echo "What to do: no node takes the pod; the events above say what it lacks." ;;
      *) echo "What to do: if the pod runs but is not ready, the log above says what it waits for." ;;
    esac
    echo "Nothing needs cleaning up: mend it and run install-operator.sh again, or ./purge-operator.sh --namespace $namespace."
  } >&2
}
echo "Waiting for the operator (at most $timeout s):"
deadline=$((SECONDS + timeout)) shown=''
while [ -n "$(missing)" ]; do
  state=$(pods)
  if [ "$state" != "$shown" ]; then
    [ -z "$state" ] || indent <<<"$state"
    shown=$state
  fi
  if [ $SECONDS -ge $deadline ]; then explain; exit 1; fi
  sleep 1
done

# ---- rights of an earlier scope that this one no longer needs ---------------------------------------------------------------------
mine=rocketmq.apache.org/operator-namespace=$namespace
if [ ${#watched[@]} -gt 0 ]; then
  k delete clusterrolebindings,clusterroles -l "$mine" --ignore-not-found | indent
fi
k get roles,rolebindings -A -l "$mine" --field-selector metadata.name=rocketmq-operator \
  -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.kind}{"\n"}{end}' | while read -r where kind; do
  [[ $watch != all && ",$watch," == *",$where,"* ]] || k -n "$where" delete "$kind" rocketmq-operator </dev/null | indent
done

on get pods -l "$selector" | indent
echo "The operator is running. Next: kubectl apply -f examples/rocketmq_v1alpha1_rocketmq_cluster.yaml"
