//! What is rare, and keeps a drain waiting for ever, or loses a message, where it is not thought of.

use super::tests::{MASTER, found, looked, master, rocketmq, waiting, who};
use super::*;
use crate::admin::fake::FakeBroker;

#[tokio::test]
async fn a_group_may_be_ignored_on_one_topic_only() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .consumed("payments", "billing", 0, 1)
        .queue("parcels", 0, 0, 5)
        .consumed("parcels", "billing", 0, 3)
        .topic(TopicConfig::new("%RETRY%billing", 1))
        .queue("%RETRY%billing", 0, 0, 3);
    let left = looked(broker, &["payments@billing"]).await;
    assert_eq!(
        waiting(&left),
        [("billing", "%RETRY%billing", 3), ("billing", "parcels", 2)]
    );
}

#[tokio::test]
async fn a_group_that_consumes_another_topic_by_now_is_told_from_one_that_is_abandoned() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .consumed("payments", "billing", 0, 1)
        .consumed("payments", "audit", 0, 2)
        .topic(TopicConfig::new("%RETRY%billing", 1))
        .queue("%RETRY%billing", 0, 0, 1)
        .consumed("%RETRY%billing", "billing", 0, 0)
        .online("billing", "client-1", &["parcels"]);
    let words = found(broker)
        .await
        .words(&Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(
        words,
        [
            "group billing on topic payments: 9 messages, it is connected and does not subscribe to it",
            "group audit on topic payments: 8 messages, last commit 0 min ago",
            "group billing on topic %RETRY%billing: 1 message, last commit never",
        ]
    );
}

#[tokio::test]
async fn what_two_groups_may_be_to_retry_is_waited_for_by_both() {
    let retries = "%RETRY%a_b";
    let broker = || {
        master()
            .topic(TopicConfig::new("b", 1))
            .topic(TopicConfig::new(retries, 1))
            .queue(retries, 0, 0, 4)
            .consumed(retries, "a_b", 0, 4)
            .consumed(retries, "a", 0, 1)
            .consumed("payments", "a_b", 0, 0)
    };
    assert_eq!(waiting(&found(broker()).await), [("a", retries, 3)]);
    assert_eq!(waiting(&looked(broker(), &["a_b"]).await), [("a", retries, 3)]);
}

#[tokio::test]
async fn an_offset_beyond_the_end_counts_where_the_broker_would_send_its_group_back() {
    let of = |version: &str, min: i64| {
        let broker = master().version(version).queue("payments", 0, min, 100);
        found(broker.consumed("payments", "billing", 0, 5_000))
    };
    for version in ["4.5.0", "4.9.3"] {
        assert_eq!(
            waiting(&of(version, 0).await),
            [("billing", "payments", 100)],
            "{version}"
        );
    }
    assert!(of("4.9.3", 7).await.is_empty());
    for version in ["4.9.4", "5.5.0"] {
        assert!(of(version, 0).await.is_empty(), "{version}");
    }
}

#[tokio::test]
async fn a_timer_that_counts_less_than_nothing_is_not_known() {
    let of = |congested: &str| {
        master()
            .runtime("timerReadBehind", "0")
            .runtime("timerOffsetBehind", "0")
            .runtime("timerCongestNum", congested)
    };
    let asked = async |broker: FakeBroker| look(&rocketmq(broker), MASTER, &who(), Whom::default()).await;
    let unknown = asked(of("-1")).await.unwrap_err();
    assert!(unknown.to_string().contains("timerCongestNum"), "{unknown}");
    assert!(asked(of("0")).await.unwrap().is_empty());
}
