//! The TopicTransfer kind: a topic that moves to another cluster.
#![allow(
    clippy::duplicated_attributes,
    reason = "several printer columns are of one type"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::lenient::{self, blank_is_none, null_is_default};
use super::schema::{brief, no_nulls, short_names, topic_transfer_spec};
use super::transfer_memory::{FirstSettings, GroupLag, TransferCause, TransferPhase, UnderWay};
use super::transfer_rules as rules;

/// How long a transfer may take if its spec does not say.
pub const TRANSFER_TIMEOUT_SECONDS: i64 = 3600;

/// Which topic moves, and where to. Once the transfer has begun it cannot be changed; deleting it undoes it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rocketmq.apache.org",
    version = "v1alpha1",
    kind = "TopicTransfer",
    plural = "topictransfers",
    shortname = "rmqtt",
    category = "rocketmq",
    namespaced,
    status = "TopicTransferStatus",
    derive = "PartialEq",
    validation = rules::transfer_stays_as_it_began(),
    doc = "The move of a topic from one RocketMQ cluster to another, without losing a message.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Topic", type_ = "string", json_path = ".spec.topic"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.sourceCluster"),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.targetCluster"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lag"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.step",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(
    validation = rules::transfer_goes_elsewhere(),
    validation = rules::transferred_topic_is_a_users()
)]
#[schemars(transform = topic_transfer_spec)]
pub struct TopicTransferSpec {
    /// The topic that moves.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(length(min = 1, max = 127))]
    pub topic: String,

    /// The cluster that has the topic: the name of a Broker in this namespace; with `sourceNameServers`, the cluster's
    /// `brokerClusterName`.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(length(min = 1, max = 253))]
    pub source_cluster: String,

    /// The cluster that gets the topic: the name of a Broker in this namespace; with `targetNameServers`, the cluster's
    /// `brokerClusterName`.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(length(min = 1, max = 253))]
    pub target_cluster: String,

    /// The name servers of the source, `host:port;host:port`, if it is no Broker of this namespace. All of them: a topic
    /// counts as read-only when each one says so. Default: those of the Broker.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = rules::source_name_servers_are_addresses())]
    pub source_name_servers: Option<String>,

    /// The name servers of the target, `host:port;host:port`, if it is no Broker of this namespace.
    /// Default: those of the Broker.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = rules::target_name_servers_are_addresses())]
    pub target_name_servers: Option<String>,

    /// Secret in this namespace with `accessKey` and `secretKey` of an account that may administer the source.
    /// Default: that of the Broker.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 253))]
    pub source_admin_credentials_secret: Option<String>,

    /// Secret in this namespace with `accessKey` and `secretKey` of an account that may administer the target.
    /// Default: that of the Broker.
    #[serde(
        default,
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 253))]
    pub target_admin_credentials_secret: Option<String>,

    /// The consumer groups that move with the topic, and that must have consumed every message before it leaves the
    /// source. Groups that are not named are not waited for. Default: every group that consumes the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = short_names, length(max = 100))]
    pub consumer_groups: Option<Vec<String>>,

    /// How many seconds the transfer may take. After that it is undone: nothing is removed, the source takes writes
    /// again. Once removal has begun it goes on until it is done. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("default" = 3600))]
    pub timeout_seconds: Option<i64>,

    /// What could not be read of the stored object, one line a field. Not part of the resource.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

impl<'de> Deserialize<'de> for TopicTransferSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        let (spec, unreadable) = lenient::read(stored, Self::deserialize);
        Ok(Self { unreadable, ..spec })
    }
}

impl Serialize for TopicTransferSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// How far a transfer is: all that it remembers.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(transform = no_nulls)]
pub struct TopicTransferStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: the target has the topic and its groups, so that clients can go there. `Progressing`: what is being done
    /// or waited for. `Degraded`: what is wrong, and what to do. `Complete`: the topic is at the target only.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(transform = brief)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// `Pending`: nothing is done yet. `Copying`: the target gets groups and topic. `Fencing`: the source becomes
    /// read-only. `Draining`: the source's messages are consumed. `Removing`: the source forgets the topic. `Undoing`: the
    /// source gets its settings back. At the end `Succeeded`, `Undone`, or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<TransferPhase>,

    /// What is being done or waited for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,

    /// Messages that are still to be consumed at the source, each counted for each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,

    /// The consumer groups and what each has still to consume at the source.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub groups: Vec<GroupLag>,

    /// When copying began; `spec.timeoutSeconds` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub started_at: Option<Time>,

    /// When the transfer began to be undone; if it was deleted after removal had begun, when that was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub ending_since: Option<Time>,

    /// Why it is undone or failed, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<TransferCause>,

    /// The same in words, with the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_message: Option<String>,

    /// The topic at each broker of the source as it was found, to be put back when the transfer is undone.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source: Vec<FirstSettings>,

    /// Since when no message arrived at the source. Absent as long as some may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub quiet_since: Option<Time>,

    /// How many messages were ever written to the topic at each broker of the source.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub written: BTreeMap<String, i64>,

    /// What was delayed or to be acknowledged at each broker when its last lag was 0: to be delivered before removal.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub under_way: Vec<UnderWay>,

    /// The brokers of the source that were told to delete the topic. While one is listed nothing can be undone; a broker
    /// that refused, because a message had come, is taken off the list.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub removed: Vec<String>,
}

impl<'de> Deserialize<'de> for TopicTransferStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = <Value as Deserialize>::deserialize(deserializer)?;
        Ok(lenient::read(stored, Self::deserialize).0)
    }
}

impl Serialize for TopicTransferStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
