//! What a transfer tells RocketMQ, one thing a step.

use crate::admin::{SubscriptionGroup, TopicConfig};
use crate::broker::ahead::Ahead;
use crate::broker::missing::Start;

/// What is told to a broker or a name server; nothing else ever is.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Makes a subscription group at a master of the target.
    PutGroup {
        /// `brokerName`.
        broker: String,
        /// With these settings.
        group: SubscriptionGroup,
    },
    /// Makes the topic at a master of the target.
    PutTopic {
        /// `brokerName`.
        broker: String,
        /// With these settings.
        topic: TopicConfig,
    },
    /// Moves the offset of a group at a master of the target back to where the queue ends.
    MoveBack {
        /// `brokerName`.
        broker: String,
        /// Whose offset, and where to.
        ahead: Ahead,
    },
    /// Lets groups that have no offset at a master of the target begin with the first message there.
    Begin {
        /// `brokerName`.
        broker: String,
        /// Who, and in which queues.
        start: Start,
    },
    /// Changes the topic at a master of the source, where it is there.
    ChangeTopic {
        /// `brokerName`.
        broker: String,
        /// To these settings, but for attributes.
        topic: TopicConfig,
    },
    /// Changes the topic's entry among the order topics of a name server, or removes it.
    Order {
        /// Whose name servers.
        side: Side,
        /// `host:port`.
        name_server: String,
        /// The entry.
        entry: Option<String>,
    },
    /// Deletes the topic at a master of the source, if no message came since.
    Delete {
        /// `brokerName`.
        broker: String,
        /// How many messages ever came into it.
        written: i64,
    },
    /// Makes a name server of the source forget the topic.
    Forget {
        /// `host:port`.
        name_server: String,
    },
}

/// One of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the topic is.
    Source,
    /// Where it goes.
    Target,
}
