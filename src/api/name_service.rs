//! The NameService kind: a set of name servers.
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

use super::fields::{ClaimRetention, DnsPolicy, ImagePullPolicy, StorageMode};
use super::lenient::{self, blank_is_none, null_is_default};
use super::rules;
use super::schema::{brief, name_service_spec, no_nulls, short_claim_names};

/// What a NameService should be: `size` name servers.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rocketmq.apache.org",
    version = "v1alpha1",
    kind = "NameService",
    plural = "nameservices",
    shortname = "rmqns",
    category = "rocketmq",
    namespaced,
    status = "NameServiceStatus",
    derive = "PartialEq",
    validation = rules::names_a_service(),
    validation = rules::name_service_children_have_short_names(),
    doc = "The name servers of a RocketMQ cluster.",
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
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Host-Network",
        type_ = "boolean",
        json_path = ".spec.hostNetwork",
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
    validation = rules::dns_policy_is_complete()
)]
#[schemars(transform = name_service_spec)]
pub struct NameServiceSpec {
    /// Number of name servers, at least 1. Brokers are told of new ones when these answer, and leave those that
    /// go before they stop; the first one stays.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub size: i32,

    /// Image of the name servers. Any image that sets `ROCKETMQ_HOME` and has `bin/mqnamesrv` there: the
    /// official `apache/rocketmq`, the images of the Go operator, your own.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub name_service_image: String,

    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    /// Default: `Always` for the tag `latest` or none, else `IfNotPresent`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Whether the name servers use the network of their node, so that clients outside the cluster reach them there.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,

    /// How the pods resolve names. Default: `ClusterFirst`; with `hostNetwork`: `ClusterFirstWithHostNet`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns_policy: Option<DnsPolicy>,

    /// Compute resources of the container of each name server. The heap is sized from the memory limit unless
    /// `jvmOptions` sizes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub resources: Option<ResourceRequirements>,

    /// Where each name server keeps its key-value configuration and logs. `StorageClass`: on a volume of its own,
    /// made from `volumeClaimTemplates`. `HostPath`: in a directory of its node, below `hostPath`. `EmptyDir`:
    /// nowhere lasting.
    #[serde(default)]
    pub storage_mode: StorageMode,

    /// The directory of the nodes that holds the data with `storageMode: HostPath`: absolute.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 4096))]
    pub host_path: Option<String>,

    /// Volume claims of each pod, needed with `storageMode: StorageClass`. The first one holds data and logs.
    /// Its name is the name of the data volume in the other storage modes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief, transform = short_claim_names, length(max = 16))]
    pub volume_claim_templates: Option<Vec<PersistentVolumeClaim>>,

    /// Environment variables of the name servers, such as `JAVA_OPT_EXT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub env: Option<Vec<EnvVar>>,

    /// Volumes of the pods, for `volumeMounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub volumes: Option<Vec<Volume>>,

    /// Where the container mounts `volumes`, such as files for ACL, TLS or logging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub volume_mounts: Option<Vec<VolumeMount>>,

    /// Options of the Java machine, such as `-Xmx2g`, added after all others.
    /// Default: heap and direct memory sized from the memory limit.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub jvm_options: Option<String>,

    /// Security context of the pods. The official images need `runAsUser`, `runAsGroup` and `fsGroup` 3000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub security_context: Option<PodSecurityContext>,

    /// Security context of the container of each name server.
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

    /// How the pods spread over the cluster. Default: they prefer different nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,

    /// What happens to the volume claims with `storageMode: StorageClass` when this NameService is deleted or
    /// scaled in. Default: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_retention_policy: Option<ClaimRetention>,

    /// What could not be read of the stored object, one line a field: it was stored before the schema refused it.
    /// Not part of the resource; the reconciler does nothing for such an object but say so.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

impl<'de> Deserialize<'de> for NameServiceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        let (spec, unreadable) = lenient::read(stored, Self::deserialize);
        Ok(Self { unreadable, ..spec })
    }
}

impl Serialize for NameServiceSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// What a NameService is now.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(transform = no_nulls)]
pub struct NameServiceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: every name server the spec asks for answers. `Progressing`: what is being done or waited for.
    /// `Degraded`: what is wrong, and what to do.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(transform = brief)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Addresses of the pods of the name servers that serve, without port: they answered, and had the order
    /// topics of the others.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name_servers: Vec<String>,

    /// Number of name servers that brokers are told of: those with the lowest ordinals.
    #[serde(default, deserialize_with = "null_is_default")]
    pub size: i32,

    /// Number of name servers, as the `scale` subresource shows it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub replicas: i32,

    /// Label selector of the pods, as the `scale` subresource shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

impl<'de> Deserialize<'de> for NameServiceStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        Ok(lenient::read(stored, Self::deserialize).0)
    }
}

impl Serialize for NameServiceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
