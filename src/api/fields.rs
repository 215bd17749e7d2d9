//! Types that both kinds, or several fields, share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient::blank_is_none;
use super::schema::{plain_enum, plain_enum_or_blank};

/// Where data and logs live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum StorageMode {
    /// A volume for each pod, made from `volumeClaimTemplates`; it survives the pod and the node.
    StorageClass,
    /// An `emptyDir`; it is gone with the pod.
    #[default]
    EmptyDir,
    /// A directory of the node, below `hostPath`.
    HostPath,
}

/// How a master replicates what it acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(transform = plain_enum_or_blank)]
pub enum ReplicationMode {
    /// A send is acknowledged when a replica has it.
    Sync,
    /// A send is acknowledged when the master has it.
    Async,
}

/// How the brokers of a group find their roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(transform = plain_enum_or_blank)]
pub enum ClusterMode {
    /// One master and its replicas, by configuration. The only one this operator runs.
    Static,
    /// RocketMQ's Controller elects the master.
    Controller,
    /// Several brokers in one process.
    Container,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum_or_blank)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

impl ImagePullPolicy {
    /// The value as in a container's `imagePullPolicy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How a pod resolves names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum_or_blank)]
pub enum DnsPolicy {
    /// The cluster's DNS, also on the host's network.
    ClusterFirstWithHostNet,
    /// The cluster's DNS, but the node's on the host's network.
    ClusterFirst,
    /// The node's.
    Default,
    /// None.
    None,
}

impl DnsPolicy {
    /// The value as in a pod's `dnsPolicy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterFirstWithHostNet => "ClusterFirstWithHostNet",
            Self::ClusterFirst => "ClusterFirst",
            Self::Default => "Default",
            Self::None => "None",
        }
    }
}

/// What clients and replicas dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum AdvertisedAddress {
    /// The ClusterIP of the pod's own Service: it outlives the pod.
    Service,
    /// The pod's own address: for clients outside the cluster on a flat pod network.
    PodIP,
}

/// How a group leaves the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum ScaleInPolicy {
    /// Every message is consumed first.
    #[default]
    Drain,
    /// At once; what was not consumed stays on the volume.
    Immediate,
}

/// How groups leave when `size` goes down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleIn {
    /// `Drain` waits until every message of the leaving groups is consumed. `Immediate` does not wait.
    /// Default: `Drain`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(extend("default" = "Drain"))]
    pub policy: Option<ScaleInPolicy>,
    /// How many seconds a drain may take before it is reported as stuck; nothing is deleted then.
    /// Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("default" = 3600))]
    pub timeout_seconds: Option<i64>,
    /// Consumer groups that a drain does not wait for, such as abandoned ones; as `TOPIC@GROUP` one that only
    /// does not consume that topic any more. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_consumer_groups: Option<Vec<String>>,
}

/// What happens to a volume claim that is no longer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum Retention {
    /// It stays, with its data.
    #[default]
    Retain,
    /// It is deleted, with its data.
    Delete,
}

impl Retention {
    /// The value as in a StatefulSet's `persistentVolumeClaimRetentionPolicy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}

/// What happens to volume claims that are no longer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRetention {
    /// `Retain` or `Delete` the claims when this object is deleted. Default: `Retain`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(extend("default" = "Retain"))]
    pub when_deleted: Option<Retention>,
    /// `Retain` or `Delete` the claims of pods that scaling takes away. Default: `Retain`.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(extend("default" = "Retain"))]
    pub when_scaled: Option<Retention>,
}
