//! The Broker kind: broker groups, each a master and its replicas.
#![allow(
    clippy::duplicated_attributes,
    reason = "several printer columns are of one type"
)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PersistentVolumeClaim, PodSecurityContext, ResourceRequirements,
    SecurityContext, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::fields::{
    AdvertisedAddress, ClaimRetention, ClusterMode, ImagePullPolicy, ReplicationMode, ScaleIn, StorageMode,
};
use super::lenient::{self, blank_is_none, null_is_default};
use super::rollout::{AcceptedLoss, RolloutStatus};
use super::rules;
use super::scale_in::ScaleInStatus;
use super::schema::{brief, broker_spec, no_nulls, short_claim_names};

/// What a Broker should be: `size` groups of one master and `replicaPerGroup` replicas.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rocketmq.apache.org",
    version = "v1alpha1",
    kind = "Broker",
    plural = "brokers",
    shortname = "rmqb",
    category = "rocketmq",
    namespaced,
    status = "BrokerStatus",
    derive = "PartialEq",
    validation = rules::names_a_service(),
    validation = rules::broker_children_have_short_names(),
    doc = "The brokers of a RocketMQ cluster: groups of one master and its replicas.",
    scale(
        spec_replicas_path = ".spec.size",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Size", type_ = "integer", json_path = ".spec.size"),
    printcolumn(
        name = "Replica-Per-Group",
        type_ = "integer",
        json_path = ".spec.replicaPerGroup"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Allow-Restart",
        type_ = "boolean",
        json_path = ".spec.allowRestart",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(
    validation = rules::host_path_is_given(),
    validation = rules::claim_templates_are_given(),
    validation = rules::claim_templates_are_named(),
    validation = rules::claim_templates_have_names_of_their_own(),
    validation = rules::one_source_of_name_servers(),
    validation = rules::one_source_of_the_broker_role()
)]
#[schemars(transform = broker_spec)]
pub struct BrokerSpec {
    /// Number of broker groups, at least 1. Each group is one master and `replicaPerGroup` replicas. A new group
    /// starts with the topics and subscription groups of `scalePodName` and takes no traffic before it has them.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub size: i32,

    /// Addresses of the name servers, as `host:port;host:port`, when they are not a NameService of this
    /// namespace. Empty: those of `nameService`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::name_servers_are_addresses())]
    pub name_servers: Option<String>,

    /// Name of the NameService in the same namespace that the brokers register with. Default: the only
    /// NameService of the namespace; when there is none, or several, the status says so and nothing is started.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub name_service: Option<String>,

    /// `SYNC`: a master acknowledges a message when a replica has it. `ASYNC`: when the master has it.
    /// Default: what `brokerRole` in `broker-common.conf` says, else `ASYNC`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub replication_mode: Option<ReplicationMode>,

    /// How a group's master is chosen. Only `STATIC` is run; `CONTROLLER` and `CONTAINER` are accepted, start
    /// nothing, and the status says so. Default: `STATIC`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_mode: Option<ClusterMode>,

    /// Number of replicas in each group, besides the master. Default: 0. A change restarts no broker.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(range(min = 0))]
    pub replica_per_group: i32,

    /// Image of the brokers. Any image that sets `ROCKETMQ_HOME` and has `bin/mqbroker` there: the official
    /// `apache/rocketmq`, the images of the Go operator, your own.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub broker_image: String,

    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    /// Default: `Always` for the tag `latest` or none, else `IfNotPresent`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Whether the brokers use the network of their node. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,

    /// Whether a running broker may be restarted to apply a change. If false, the change is reported and applies
    /// when the pod restarts anyway. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub allow_restart: Option<bool>,

    /// Compute resources of the container of each broker. The heap is sized from the memory limit unless
    /// `jvmOptions` or the environment variable `BROKER_MEM` sizes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub resources: Option<ResourceRequirements>,

    /// Where each broker keeps its messages and logs. `StorageClass`: on a volume of its own, made from
    /// `volumeClaimTemplates`. `HostPath`: in a directory of its node, below `hostPath`. `EmptyDir`: nowhere
    /// lasting; the messages are gone with the pod.
    #[serde(default)]
    pub storage_mode: StorageMode,

    /// The directory of the nodes that holds the data with `storageMode: HostPath`: absolute. Each broker has
    /// its own directories below it.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 4096))]
    pub host_path: Option<String>,

    /// Environment variables of the brokers, such as `BROKER_MEM` or `JAVA_OPT_EXT`. The variables that say who
    /// a broker is (`NAMESRV_ADDR`, `BROKER_ID`, `BROKER_NAME`, `BROKER_CLUSTER_NAME`) cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub env: Option<Vec<EnvVar>>,

    /// Volumes of the pods. The first one may supply the key `broker-common.conf`: configuration for all
    /// brokers, in the format of `broker.conf`. The others are for `volumeMounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub volumes: Option<Vec<Volume>>,

    /// Where the container mounts `volumes`, such as files for ACL, TLS or logging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub volume_mounts: Option<Vec<VolumeMount>>,

    /// Volume claims of each pod, needed with `storageMode: StorageClass`. The first one holds data and logs.
    /// Its name is the name of the data volume in the other storage modes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief, transform = short_claim_names, length(max = 16))]
    pub volume_claim_templates: Option<Vec<PersistentVolumeClaim>>,

    /// The pod whose topics and subscription groups a new group starts with, such as `broker-0-master-0`.
    /// Default: the master of group 0.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub scale_pod_name: Option<String>,

    /// Security context of the pods. The official images need `runAsUser`, `runAsGroup` and `fsGroup` 3000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub security_context: Option<PodSecurityContext>,

    /// Security context of the container of each broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub container_security_context: Option<SecurityContext>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_annotations: Option<BTreeMap<String, String>>,

    /// Labels of the pods. The operator's own labels cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_labels: Option<BTreeMap<String, String>>,

    /// Secrets in the same namespace to pull the image with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,

    /// Affinity of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub affinity: Option<Affinity>,

    /// Tolerations of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub tolerations: Option<Vec<Toleration>>,

    /// Labels of the nodes that the pods may run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,

    /// Priority class of the pods.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub priority_class_name: Option<String>,

    /// Service account of the pods. Default: the namespace's `default`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_account_name: Option<String>,

    /// How the pods spread over the cluster. Default: the members of a group prefer different nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,

    /// The address that clients and replicas use. `Service`: the ClusterIP of a Service for each broker, which
    /// outlives the pod. `PodIP`: the pod's own, for clients outside the cluster that can reach pods.
    /// Default: `Service`; with `hostNetwork`: `PodIP`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub advertised_address: Option<AdvertisedAddress>,

    /// Configuration of all brokers: keys and values of `broker.conf`. It wins over `broker-common.conf`, but
    /// what says who a broker is (`brokerClusterName`, `brokerName`, `brokerId`, `namesrvAddr`, the role of a
    /// replica) cannot be changed; the condition `ConfigAccepted` names such keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,

    /// Secret in the same namespace whose keys `accessKey` and `secretKey` let the operator administer brokers
    /// with access control (ACL). The operator needs the right to read it: `deploy/secret_reader.yaml`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub admin_credentials_secret: Option<String>,

    /// Options of the Java machine, such as `-Xmx2g`, added after all others.
    /// Default: heap and direct memory sized from the memory limit.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub jvm_options: Option<String>,

    /// How groups leave when `size` goes down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<ScaleIn>,

    /// What happens to the volume claims with `storageMode: StorageClass` when this Broker is deleted or scaled
    /// in. Default: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_retention_policy: Option<ClaimRetention>,

    /// What could not be read of the stored object, one line a field: it was stored before the schema refused it.
    /// Not part of the resource; the reconciler does nothing for such an object but say so.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

impl<'de> Deserialize<'de> for BrokerSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        let (spec, unreadable) = lenient::read(stored, Self::deserialize);
        Ok(Self { unreadable, ..spec })
    }
}

impl Serialize for BrokerSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// What a Broker is now.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(transform = no_nulls)]
pub struct BrokerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: every broker the spec asks for is registered with every name server. `Progressing`: what is
    /// being done or waited for. `Degraded`: what is wrong, and what to do. `ConfigAccepted`: which keys of the
    /// configuration are overridden or refused.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(transform = brief)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Addresses of the name servers that every broker was last seen to run with, as `host:port;host:port`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub name_servers: Option<String>,

    /// Names of the pods.
    #[serde(default, deserialize_with = "null_is_default")]
    pub nodes: Vec<String>,

    /// Number of groups in service.
    #[serde(default, deserialize_with = "null_is_default")]
    pub size: i32,

    /// Number of groups, as the `scale` subresource shows it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub replicas: i32,

    /// Number of replicas in each group in service. Absent as long as none is, and in what the Go operator wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_per_group: Option<i32>,

    /// The group that leaves, as long as one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<Box<ScaleInStatus>>,

    /// Label selector of the pods, as the `scale` subresource shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Numbers of the groups that take no traffic yet, because topics and subscription groups are still copied to them.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub opening: Vec<i32>,

    /// The master that is being restarted, its group read-only meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub rollout: Option<RolloutStatus>,

    /// The pod whose messages annotation `rocketmq.apache.org/accept-loss` gives up. It holds for this very pod only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub accepted_loss: Option<AcceptedLoss>,
}

impl<'de> Deserialize<'de> for BrokerStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        Ok(lenient::read(stored, Self::deserialize).0)
    }
}

impl Serialize for BrokerStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
