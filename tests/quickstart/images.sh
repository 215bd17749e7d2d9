# Gets the images into the chosen cluster. Sourced.
# shellcheck shell=bash disable=SC2154 # $cluster and $repo come from common.sh, CLUSTER and KUBE_CONTEXT from choose_cluster.sh

# The RocketMQ images that a YAML file names.
images_of() { sed -nE 's/^ *(brokerImage|nameServiceImage): *"?([^" ]+)"?.*$/\2/p' "$1" | sort -u; }

# Builds what `images/build` calls TARGET and loads it into the project's own cluster.
build_and_load() { # target...
  local archive
  "$repo/images/build" "$@" </dev/null >"$state/archives"
  while IFS= read -r archive; do "$cluster" load "$archive" </dev/null; done <"$state/archives"
}

bring_images() { # example image-of-the-operator
  local image
  case $CLUSTER in
    own)
      [ -n "${IMAGE:-}" ] || build_and_load operator
      images_of "$1" | while IFS= read -r image; do
        case $image in
          apache/rocketmq:*) build_and_load rocketmq "${image#*:}" ;;
          *) say "$image is not one that images/build makes; it has to be in the cluster already" ;;
        esac
      done ;;
    named)
      # A registry is between this machine and that cluster, and which one is not ours to guess.
      [ -n "${IMAGE:-}" ] || die "a cluster elsewhere fetches its images from a registry. Build the operator's and push it to one that the nodes reach:
    images/build --docker operator
    docker tag $2 REGISTRY/rocketmq-operator:0.4.0 && docker push REGISTRY/rocketmq-operator:0.4.0
  and name it: make quickstart CONTEXT=$KUBE_CONTEXT IMAGE=REGISTRY/rocketmq-operator:0.4.0"
      say "The nodes fetch the images: $IMAGE, $(images_of "$1" | paste -sd, - | sed 's/,/, /g')" ;;
    *)
      if [ -z "${IMAGE:-}" ]; then
        docker info >/dev/null 2>&1 || die "building the operator's image for this cluster needs a running Docker"
        "$repo/images/build" --docker operator </dev/null
        case $CLUSTER in
          kind | own-kind) kind load docker-image "$2" --name "${KUBE_CONTEXT#kind-}" ;;
          minikube) minikube image load "$2" ;;
          docker-desktop) ;; # its Kubernetes uses Docker's own store
        esac
      fi
      say "The nodes fetch the RocketMQ images: $(images_of "$1" | paste -sd, - | sed 's/,/, /g')" ;;
  esac
}
