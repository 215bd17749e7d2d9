//! Topics as a broker keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The bits of a topic's and of a broker's permission: RocketMQ 4.5.0 to 5.5.0 `PermName`.
pub mod perm {
    /// Consumers may read.
    pub const READ: i32 = 4;
    /// Producers may write.
    pub const WRITE: i32 = 2;
    /// New topics take after this one.
    pub const INHERIT: i32 = 1;
}

/// All topics of a broker, its own ones included (`TopicConfigSerializeWrapper`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// By name.
    pub topics: BTreeMap<String, TopicConfig>,
    /// Grows with every change.
    pub version: DataVersion,
}

/// How a table of a broker is known to have changed: RocketMQ `DataVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataVersion {
    /// Changes since the broker was made.
    pub counter: i64,
    /// When it changed last, milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// A topic as a broker keeps it. Its permission is the topic's own, whatever `brokerPermission` takes away in routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// `topicName`.
    pub name: String,
    /// `readQueueNums`.
    pub read_queues: i32,
    /// `writeQueueNums`.
    pub write_queues: i32,
    /// In bits of [`perm`].
    pub perm: i32,
    /// `topicFilterType`: `SINGLE_TAG` or `MULTI_TAG`.
    pub filter: String,
    /// `topicSysFlag`.
    pub sys_flag: i32,
    /// Whether its queues are of fixed brokers. Brokers before 5.1.0 take it from the name servers' namespace
    /// `ORDER_TOPIC_CONFIG` only, whatever they are told with the topic.
    pub order: bool,
    /// Such as `message.type` = `NORMAL`; none before 5.0.0.
    pub attributes: BTreeMap<String, String>,
}

impl TopicConfig {
    /// A topic with as many queues to read as to write, with RocketMQ's defaults otherwise.
    #[must_use]
    pub fn new(name: &str, queues: i32) -> Self {
        Self {
            name: name.to_owned(),
            read_queues: queues,
            write_queues: queues,
            perm: perm::READ | perm::WRITE,
            filter: "SINGLE_TAG".to_owned(),
            sys_flag: 0,
            order: false,
            attributes: BTreeMap::new(),
        }
    }
}

/// What happens to a topic's attributes when it is put. Brokers list them by name and take them as a change (`+name=value`),
/// and refuse to add a fixed one, such as `cleanup.policy`, to a topic that exists: `AttributeUtil.alterCurrentAttributes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// The topic is new there: it gets those that it is put with. Brokers before 5.0.0 ignore them. If it is there already,
    /// because this was told before, a fixed one makes the broker refuse it with code 1 and leave it as it is: see first
    /// whether it is there.
    Create,
    /// The topic keeps those that it has there.
    Keep,
}
