# Keys, certificates and configuration files. Sourced by ../cluster.
# shellcheck shell=bash

# certificate NAME SUBJECT [SUBJECT-ALTERNATIVE-NAMES]: signed by the cluster's own authority.
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$PKI/$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 -out "$PKI/$1.crt" \
      -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "${3:-DNS:localhost}") 2>/dev/null
}

# identity NAME SUBJECT [SUBJECT-ALTERNATIVE-NAMES]: a certificate and the kubeconfig that uses it.
identity() {
  certificate "$@"
  cat >"$KUBECONFIG_DIR/$1" <<Y
apiVersion: v1
kind: Config
clusters: [{name: rocketmq-tests, cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$PKI/$1.crt"), client-key-data: $(base64 -w0 "$PKI/$1.key")}}]
contexts: [{name: rocketmq-tests, context: {cluster: rocketmq-tests, user: $1}}]
current-context: rocketmq-tests
Y
}

identities() {
  (
    umask 077
    rm -rf "$PKI" "$KUBECONFIG_DIR" && mkdir -p "$PKI" "$KUBECONFIG_DIR"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$PKI/ca.key" \
      -subj /CN=rocketmq-tests -days 3650 -out "$PKI/ca.crt" 2>/dev/null
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/service-accounts.key" 2>/dev/null
    openssl pkey -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub"
    certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:$API_SERVICE,IP:$NODE"
    certificate apiserver-to-kubelet /CN=kube-apiserver-kubelet-client
    identity admin /O=system:masters/CN=admin
    identity controller-manager /CN=system:kube-controller-manager
    identity scheduler /CN=system:kube-scheduler
    identity proxy /CN=system:kube-proxy
    identity dns /CN=rocketmq-tests:dns
    identity volumes /CN=rocketmq-tests:volumes
    identity kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE"
  )
}

configuration() {
  rm -rf "$CONFIG" && mkdir -p "$CONFIG"/{cni,registries/_default}
  cat >"$CONFIG/containerd.toml" <<T
version = 2
root = "$CONTAINERD/root"
state = "$CONTAINERD/state"
[grpc]
  address = "$CONTAINERD/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$IMPORTED_BY_US"
  # Without CAP_SYS_RESOURCE no process may lower its OOM score.
  restrict_oom_score_adj = true
  # Below the state folder, so that one unmount finds the network namespaces of pods whose processes are gone.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$CONFIG/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$CONFIG/registries"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$CONTAINERD/runc"
T
  # Images come from 'cluster load' alone: pulling one is refused at once, and nothing leaves the machine.
  echo 'server = "http://127.0.0.1:9"' >"$CONFIG/registries/_default/hosts.toml"
  # Each pod has a link of its own to the node, which routes: no bridge, and no filtering on one.
  cat >"$CONFIG/cni/10-pods.conflist" <<J
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "$HOME_DIR/ipam",
   "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
J
  # What pods on the host network get: no cluster DNS, as on any node.
  echo 'nameserver 127.0.0.1' >"$CONFIG/resolv.conf"
  cat >"$CONFIG/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE
healthzBindAddress: $NODE
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
containerRuntimeEndpoint: unix://$CONTAINERD/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
clusterDomain: cluster.local
clusterDNS: [$DNS_SERVICE]
resolvConf: $CONFIG/resolv.conf
podLogsDir: $LOGS/pods
volumePluginDir: $HOME_DIR/kubelet/volume-plugins
oomScoreAdj: 0
enforceNodeAllocatable: []
# No image can be fetched again, so none is ever removed to save space.
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: "100Mi"}
maxPods: 250
Y
  cat >"$CONFIG/audit.yaml" <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
Y
  # kubeadm's Corefile at the TTLs most clusters have, but for names outside the cluster: there is nobody to ask about those.
  cat >"$CONFIG/Corefile" <<C
.:53 {
    bind $NODE
    errors
    health $NODE:8080
    ready $NODE:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $KUBECONFIG_DIR/dns
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    template ANY ANY {
        rcode NXDOMAIN
    }
    cache 30
    loadbalance
}
C
  printf '{"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["%s"]}]}' "$HOME_DIR/volumes" >"$CONFIG/volumes.json"
}
