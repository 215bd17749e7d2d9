//! How far queues and their consumers are.

use std::collections::BTreeMap;

/// Every offset that a broker keeps for consumers, theirs being clients that are not broadcast to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerOffsets {
    /// By topic, group and queue id.
    pub topics: BTreeMap<String, BTreeMap<String, BTreeMap<i32, i64>>>,
}

impl ConsumerOffsets {
    /// What a group consumed of a topic, by queue id; none if it never did.
    #[must_use]
    pub fn of(&self, topic: &str, group: &str) -> Option<&BTreeMap<i32, i64>> {
        self.topics.get(topic)?.get(group)
    }

    /// The groups that consumed of a topic.
    pub fn groups_of(&self, topic: &str) -> impl Iterator<Item = &str> {
        let groups = self.topics.get(topic).into_iter().flat_map(BTreeMap::keys);
        groups.map(String::as_str)
    }
}

/// How far a queue is (`TopicOffset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOffsets {
    /// The first message that is still there.
    pub min: i64,
    /// Where the next message goes.
    pub max: i64,
    /// When the last message came, milliseconds since 1970; 0 if the queue is empty.
    pub last_update_ms: i64,
}

/// A queue of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Queue {
    /// The topic.
    pub topic: String,
    /// `queueId`.
    pub id: i32,
}

/// How far a group is with the topics that it consumes (`ConsumeStats`). A topic to which its connected consumers do not
/// subscribe is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumeStats {
    /// By topic and queue.
    pub queues: BTreeMap<Queue, Progress>,
}

impl ConsumeStats {
    /// The messages that the group has still to consume.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.queues
            .values()
            .map(Progress::lag)
            .fold(0, i64::saturating_add)
    }
}

/// How far a group is with a queue (`OffsetWrapper`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where the next message goes.
    pub broker_offset: i64,
    /// The next message that is to be consumed; 0 if the group never consumed of the queue.
    pub consumer_offset: i64,
    /// When the last consumed message came, milliseconds since 1970; 0 if unknown.
    pub last_timestamp_ms: i64,
}

impl Progress {
    /// The messages that are still to be consumed.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.broker_offset.saturating_sub(self.consumer_offset).max(0)
    }
}

/// A queue as a group consumes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumedQueue<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// `queueId`.
    pub id: i32,
}

/// What a broker knows of its replication (`HARuntimeInfo`, RocketMQ 5.0.0 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaStatus {
    /// Whether the broker is a master.
    pub master: bool,
    /// The end of the master's commit log, in bytes.
    pub max_offset: i64,
    /// How many slaves are in sync. Of a slave, 0.
    pub in_sync_slaves: i32,
    /// The slaves that are connected.
    pub slaves: Vec<HaSlave>,
    /// Of a slave: its master's address, and its own end of the commit log.
    pub following: Option<(String, i64)>,
}

/// A slave as its master knows it (`HAConnectionRuntimeInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaSlave {
    /// Where it connected from, as `ip:port`.
    pub address: String,
    /// What it has confirmed of the commit log, in bytes.
    pub ack_offset: i64,
    /// How far it is behind, in bytes.
    pub behind_bytes: i64,
    /// Whether it is near enough to count.
    pub in_sync: bool,
}
