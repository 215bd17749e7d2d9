//! The topics and groups that RocketMQ makes for itself. They are neither copied nor counted.
//!
//! Source: RocketMQ 4.5.0 `TopicConfigManager`, `SubscriptionGroupManager`, 5.5.0 `TopicValidator`, `MixAll`.

/// Where messages of delay levels wait: those of level N in queue N - 1.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

const TOPICS: [&str; 12] = [
    "BenchmarkTest",
    "CHECKPOINT_TOPIC",
    "OFFSET_MOVED_EVENT",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    SCHEDULE_TOPIC,
    "SELF_TEST_TOPIC",
    "TBW102",
    "TRANS_CHECK_MAX_TIME_TOPIC",
];
const GROUPS: [&str; 7] = [
    "CID_ONS-HTTP-PROXY",
    "DEFAULT_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SCHEDULE_CONSUMER",
    "SELF_TEST_C_GROUP",
    "TOOLS_CONSUMER",
    "__MONITOR_CONSUMER",
];

/// Whether a broker made this topic for itself. `cluster` and `broker_name` are the broker's own. Topics of messages to be
/// retried are not among them; see [`is_retry_topic`] and [`is_dead_letter_topic`].
#[must_use]
pub fn is_system_topic(topic: &str, cluster: &str, broker_name: &str) -> bool {
    TOPICS.contains(&topic)
        || topic.starts_with("rmq_sys_")
        || topic == cluster
        || topic == broker_name
        || topic.strip_suffix("_REPLY_TOPIC") == Some(cluster)
}

/// Whether RocketMQ made this group for itself.
#[must_use]
pub fn is_system_group(group: &str) -> bool {
    GROUPS.contains(&group) || group.starts_with("CID_RMQ_SYS_") || group.starts_with("CID_ONSAPI_")
}

/// Whether the topic holds a group's messages that are to be consumed again. Brokers make it when it is needed.
#[must_use]
pub fn is_retry_topic(topic: &str) -> bool {
    topic.starts_with("%RETRY%")
}

/// Whether the topic holds messages that a group gave up on. Brokers make it when it is needed, and nothing empties it.
#[must_use]
pub fn is_dead_letter_topic(topic: &str) -> bool {
    topic.starts_with("%DLQ%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_broker_is_told_from_what_belongs_to_its_users() {
        for topic in [
            "TBW102",
            "SCHEDULE_TOPIC_XXXX",
            "BenchmarkTest",
            "OFFSET_MOVED_EVENT",
            "SELF_TEST_TOPIC",
            "RMQ_SYS_TRANS_HALF_TOPIC",
            "rmq_sys_REVIVE_LOG_orders",
            "orders",
            "orders-0",
            "orders_REPLY_TOPIC",
        ] {
            assert!(is_system_topic(topic, "orders", "orders-0"), "{topic}");
        }
        for topic in [
            "payments",
            "orders-1",
            "stock_REPLY_TOPIC",
            "_REPLY_TOPIC",
            "%RETRY%billing",
            "tbw102",
        ] {
            assert!(!is_system_topic(topic, "orders", "orders-0"), "{topic}");
        }
        for group in [
            "TOOLS_CONSUMER",
            "CID_RMQ_SYS_TRANS",
            "CID_ONSAPI_PULL",
            "CID_ONS-HTTP-PROXY",
        ] {
            assert!(is_system_group(group), "{group}");
        }
        assert!(!is_system_group("billing") && !is_system_group("CID_billing"));
    }

    #[test]
    fn retries_and_dead_letters_are_known_by_their_prefix() {
        assert!(is_retry_topic("%RETRY%billing") && !is_retry_topic("%DLQ%billing"));
        assert!(is_dead_letter_topic("%DLQ%billing") && !is_dead_letter_topic("payments"));
    }
}
