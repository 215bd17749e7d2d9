//! What name servers know: which brokers there are, and where topics live.

use std::collections::BTreeMap;

/// The brokers that one name server lists. Name servers do not talk to each other: each must be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// By `brokerName`.
    pub brokers: BTreeMap<String, BrokerData>,
}

/// One group of brokers as a name server lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerData {
    /// `brokerClusterName`.
    pub cluster: String,
    /// The registered addresses by `brokerId`; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
}

/// Where a topic lives, as one name server tells producers and consumers (`TopicRouteData`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// By `brokerName`.
    pub brokers: BTreeMap<String, RoutedBroker>,
    /// `orderTopicConf`, such as `orders-0:4;orders-1:4`, of an order topic.
    pub order: Option<String>,
}

/// A group of brokers that has a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutedBroker {
    /// `brokerClusterName`.
    pub cluster: String,
    /// The registered addresses by `brokerId`; 0 is the master, or in 5.x a slave that acts as it, whose queues can then
    /// only be read.
    pub addresses: BTreeMap<i64, String>,
    /// The topic's queues there.
    pub queues: QueueData,
}

/// The queues of a topic on one group of brokers (`QueueData`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueData {
    /// `readQueueNums`: how many queues consumers read.
    pub read: i32,
    /// `writeQueueNums`: how many queues producers write to.
    pub write: i32,
    /// What may be done, in bits of [`super::perm`]: the topic's, without those that `brokerPermission` takes away.
    pub perm: i32,
    /// `topicSysFlag`, before 4.9.0 `topicSynFlag`.
    pub sys_flag: i32,
}

impl QueueData {
    /// Whether producers may write here.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.write > 0 && self.perm & super::perm::WRITE != 0
    }
}

/// One broker's place on a name server's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub broker_name: String,
    /// `brokerId`.
    pub broker_id: i64,
    /// The address that the name server lists.
    pub address: String,
}
