use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::admin::fake::{FakeBroker, FakeRocketMq};
use crate::admin::system::SCHEDULE_TOPIC;

pub(in crate::broker) const MASTER: &str = "198.18.0.3:10911";

pub(in crate::broker) fn who() -> Who {
    Who {
        cluster: "orders".to_owned(),
        broker_name: "orders-1".to_owned(),
    }
}

/// A master with four queues of payments and one of parcels.
pub(in crate::broker) fn master() -> FakeBroker {
    FakeBroker::master("orders-1")
        .cluster("orders")
        .at(MASTER)
        .topic(TopicConfig::new("payments", 4))
        .topic(TopicConfig::new("parcels", 1))
}

pub(in crate::broker) fn rocketmq(broker: FakeBroker) -> FakeRocketMq {
    let rocketmq = FakeRocketMq::default();
    rocketmq.broker(broker);
    rocketmq
}

pub(in crate::broker) async fn found(broker: FakeBroker) -> Backlog {
    looked(broker, &[]).await
}

pub(in crate::broker) async fn looked(broker: FakeBroker, ignore: &[&str]) -> Backlog {
    let ignore: Vec<_> = ignore.iter().map(|group| (*group).to_owned()).collect();
    let whom = Whom {
        ignore: &ignore,
        ..Whom::default()
    };
    look(&rocketmq(broker), MASTER, &who(), whom).await.unwrap()
}

/// Who waits for how much.
pub(in crate::broker) fn waiting(backlog: &Backlog) -> Vec<(&str, &str, i64)> {
    let blockers = backlog.blockers.iter();
    blockers
        .map(|one| (one.group.as_str(), one.topic.as_str(), one.messages))
        .collect()
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

#[tokio::test]
async fn a_group_is_behind_by_what_it_did_not_consume_of_each_queue() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .queue("payments", 1, 0, 20)
        .consumed("payments", "billing", 0, 4)
        .consumed("payments", "billing", 1, 20);
    let found = found(broker).await;
    assert_eq!(waiting(&found), [("billing", "payments", 6)]);
    assert_eq!((found.unconsumed, found.total(), found.written), (6, 6, 30));
    assert!(!found.is_empty());
}

#[tokio::test]
async fn what_every_group_has_consumed_is_no_backlog() {
    let broker = master()
        .queue("payments", 0, 3, 10)
        .consumed("payments", "billing", 0, 10)
        .consumed("payments", "audit", 0, 11);
    let found = found(broker).await;
    assert!(found.is_empty());
    assert_eq!((found.blockers.len(), found.written), (0, 10));
}

#[tokio::test]
async fn messages_that_nobody_is_to_consume_are_no_backlog() {
    assert!(found(master().queue("payments", 0, 0, 10)).await.is_empty());
}

#[tokio::test]
async fn a_queue_of_which_a_group_has_no_offset_counts_whole() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .queue("payments", 3, 5, 12)
        .consumed("payments", "billing", 0, 10);
    assert_eq!(waiting(&found(broker).await), [("billing", "payments", 7)]);
}

#[tokio::test]
async fn messages_that_are_gone_are_not_waited_for() {
    let broker = master()
        .queue("payments", 0, 8, 10)
        .consumed("payments", "billing", 0, 3);
    assert_eq!(waiting(&found(broker).await), [("billing", "payments", 2)]);
}

#[tokio::test]
async fn a_connected_group_that_has_no_offset_yet_counts_unless_it_is_broadcast_to() {
    let broker = master()
        .queue("payments", 0, 2, 10)
        .online("billing", "client-1", &["payments"])
        .broadcasting("dashboards", "client-2", &["payments"]);
    assert_eq!(waiting(&found(broker).await), [("billing", "payments", 8)]);
}

/// What a group consumed of a topic at another master.
fn at_another(topic: &str, group: &str) -> ConsumerOffsets {
    let groups = BTreeMap::from([(group.to_owned(), BTreeMap::from([(0, 5)]))]);
    ConsumerOffsets {
        topics: BTreeMap::from([(topic.to_owned(), groups)]),
    }
}

/// As [`look`], where groups consumed at other masters.
async fn with_others(broker: &FakeBroker, elsewhere: &[ConsumerOffsets], ignore: &[String]) -> Backlog {
    let whom = Whom { elsewhere, ignore };
    let rocketmq = rocketmq(broker.clone());
    look(&rocketmq, MASTER, &who(), whom).await.unwrap()
}

#[tokio::test]
async fn a_group_that_consumes_the_topic_at_another_master_has_still_all_of_it_to_consume_here() {
    let broker = master()
        .queue("payments", 0, 2, 10)
        .queue("payments", 1, 0, 5)
        .consumed("payments", "billing", 0, 9)
        .consumed("payments", "billing", 1, 5);
    let others = [
        at_another("payments", "billing"),
        at_another("payments", "nightly"),
        at_another("parcels", "stranger"),
    ];
    let found = with_others(&broker, &others, &[]).await;
    assert_eq!(
        waiting(&found),
        [("nightly", "payments", 13), ("billing", "payments", 1)]
    );
    assert_eq!(found.blockers[0].last_commit_ms, None, "it never consumed here");
    let ignored = with_others(&broker, &others, &["nightly".to_owned()]).await;
    assert_eq!(waiting(&ignored), [("billing", "payments", 1)]);
    let consumed = broker
        .consumed("payments", "nightly", 0, 10)
        .consumed("payments", "nightly", 1, 5);
    let done = with_others(&consumed, &others, &[]).await;
    assert_eq!(waiting(&done), [("billing", "payments", 1)]);
}

#[tokio::test]
async fn who_consumes_at_another_master_is_told_from_what_rocketmq_keeps_there() {
    let retry = "%RETRY%billing";
    let broker = master()
        .queue("payments", 0, 0, 10)
        .topic(TopicConfig::new(retry, 1))
        .queue(retry, 0, 0, 3)
        .consumed(retry, "billing", 0, 3);
    let others = [
        at_another("payments", "dashboards@broadcast"),
        at_another("payments", "TOOLS_CONSUMER"),
        at_another(retry, "snooper"),
    ];
    assert!(with_others(&broker, &others, &[]).await.is_empty());
}

#[tokio::test]
async fn a_group_of_another_master_is_to_consume_queues_that_are_no_longer_written_to_as_well() {
    let mut narrowed = TopicConfig::new("payments", 4);
    narrowed.write_queues = 2;
    let broker = master().topic(narrowed).queue("payments", 3, 0, 9);
    let found = with_others(&broker, &[at_another("payments", "nightly")], &[]).await;
    assert_eq!(waiting(&found), [("nightly", "payments", 9)]);
}

#[tokio::test]
async fn as_long_as_one_other_master_does_not_tell_nobody_knows_who_consumes() {
    let rocketmq = rocketmq(master().consumed("payments", "nightly", 0, 5));
    let told = elsewhere(&rocketmq, &[("orders-1".to_owned(), Some(MASTER))]).await;
    assert_eq!(told, Ok(vec![at_another("payments", "nightly")]));
    assert_eq!(rocketmq.asked().len(), 1);
    let serving = ("orders-1".to_owned(), Some(MASTER));
    for other in [None, Some("198.18.0.9:10911")] {
        let masters = [serving.clone(), ("orders-2".to_owned(), other)];
        let why = elsewhere(&rocketmq, &masters).await.unwrap_err();
        assert!(why.starts_with("orders-2"), "{why}");
    }
}

#[tokio::test]
async fn what_brokers_keep_of_broadcast_clients_is_not_waited_for() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .consumed("payments", "dashboards@broadcast", 0, 1);
    assert!(found(broker).await.is_empty());
}

#[tokio::test]
async fn what_a_group_is_to_retry_counts_for_it_alone() {
    let broker = master()
        .topic(TopicConfig::new("%RETRY%billing", 1))
        .queue("%RETRY%billing", 0, 0, 3)
        .consumed("%RETRY%billing", "snooper", 0, 1);
    let found = found(broker).await;
    assert_eq!(waiting(&found), [("billing", "%RETRY%billing", 3)]);
    assert_eq!(found.written, 3);
}

#[tokio::test]
async fn what_was_popped_is_retried_by_the_group_that_popped_it() {
    for retry in ["%RETRY%billing_payments", "%RETRY%billing+payments"] {
        let broker = master()
            .consumed("payments", "billing", 0, 0)
            .topic(TopicConfig::new(retry, 1))
            .queue(retry, 0, 0, 3);
        assert_eq!(
            waiting(&found(broker.clone()).await),
            [("billing", retry, 3)],
            "{retry}"
        );
        assert!(looked(broker, &["billing"]).await.is_empty(), "{retry}");
    }
}

#[tokio::test]
async fn a_group_whose_name_begins_like_that_of_an_ignored_one_is_not_ignored() {
    let broker = master()
        .topic(TopicConfig::new("%RETRY%billing_eu", 1))
        .queue("%RETRY%billing_eu", 0, 0, 3);
    let found = looked(broker, &["billing"]).await;
    assert_eq!(waiting(&found), [("billing_eu", "%RETRY%billing_eu", 3)]);
}

#[tokio::test]
async fn dead_letters_and_what_rocketmq_has_for_itself_never_block() {
    let broker = master()
        .topic(TopicConfig::new("%DLQ%billing", 1))
        .queue("%DLQ%billing", 0, 0, 9)
        .consumed("%DLQ%billing", "undertaker", 0, 1)
        .queue("TBW102", 0, 0, 9)
        .consumed("TBW102", "billing", 0, 1)
        .queue("payments", 0, 0, 5)
        .consumed("payments", "TOOLS_CONSUMER", 0, 1);
    let found = found(broker).await;
    assert!(found.is_empty());
    assert_eq!(found.written, 5);
}

#[tokio::test]
async fn ignored_groups_are_left_out_with_what_they_are_to_retry() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .consumed("payments", "billing", 0, 1)
        .consumed("payments", "audit", 0, 9)
        .topic(TopicConfig::new("%RETRY%billing", 1))
        .queue("%RETRY%billing", 0, 0, 3);
    let found = looked(broker, &["billing"]).await;
    assert_eq!(waiting(&found), [("audit", "payments", 1)]);
    assert_eq!(found.written, 10);
}

#[tokio::test]
async fn messages_of_open_transactions_are_waited_for() {
    let half = "RMQ_SYS_TRANS_HALF_TOPIC";
    let broker = master()
        .topic(TopicConfig::new(half, 1))
        .queue(half, 0, 0, 5)
        .consumed(half, "CID_RMQ_SYS_TRANS", 0, 3);
    let found = found(broker).await;
    assert_eq!((found.half, found.unconsumed, found.total()), (2, 0, 2));
    assert_eq!(waiting(&found), [("CID_RMQ_SYS_TRANS", half, 2)]);
}

#[tokio::test]
async fn delayed_messages_are_waited_for_also_those_of_the_timer() {
    let broker = master()
        .delayed(3, 1, 4)
        .runtime("timerReadBehind", "0")
        .runtime("timerOffsetBehind", "10")
        .runtime("timerCongestNum", "100");
    let found = found(broker).await;
    assert_eq!((found.delayed, found.total()), (113, 113));
    assert_eq!(found.words(&at(0)), ["113 messages delayed"]);
}

#[tokio::test]
async fn delayed_messages_are_waited_for_also_where_none_of_their_level_was_delivered_yet() {
    for version in [
        "V4_5_0", "V4_9_2", "V4_9_3", "V4_9_7", "V4_9_8", "V5_0_0", "V5_5_0",
    ] {
        let broker = master().version(version).delayed(16, 0, 4).delayed(3, 5, 6);
        let waiting = found(broker.clone()).await;
        assert_eq!((waiting.delayed, waiting.total()), (5, 5), "{version}");
        let done = found(broker.delayed(16, 4, 4).delayed(3, 6, 6)).await;
        assert!(done.is_empty(), "{version}");
    }
}

#[tokio::test]
async fn delayed_messages_that_are_gone_are_not_waited_for() {
    let level_16 = |min| {
        let broker = master().version("V4_9_7").delayed(16, 0, 7);
        broker.queue(SCHEDULE_TOPIC, 15, min, 7)
    };
    assert_eq!(found(level_16(5)).await.delayed, 2);
    assert!(found(level_16(7)).await.is_empty());
    assert_eq!(found(level_16(5).delayed(3, 1, 4)).await.delayed, 2 + 3);
}

#[tokio::test]
async fn levels_beyond_the_eighteen_queues_that_a_broker_counts_are_seen_too() {
    let broker = master()
        .version("V4_9_7")
        .config("messageDelayLevel", &"1s ".repeat(20))
        .delayed(20, 0, 4);
    assert_eq!(found(broker.clone()).await.delayed, 4);
    assert_eq!(found(broker.clone().delayed(20, 1, 4)).await.delayed, 3);
    assert_eq!(found(broker.version("V5_5_0")).await.delayed, 4);
}

#[tokio::test]
async fn where_levels_may_be_untold_and_their_queues_are_not_there_nothing_is_known() {
    for (version, known) in [("V4_9_2", true), ("V4_9_7", false), ("V5_5_0", true)] {
        let rocketmq = rocketmq(master().version(version));
        let broker = confirm(&rocketmq, MASTER, "orders-1", 0).await.unwrap();
        broker.delete_topic(SCHEDULE_TOPIC).await.unwrap();
        let read = read(&rocketmq, MASTER, &who(), &[]).await;
        assert_eq!(read.is_ok(), known, "{version}: {read:?}");
    }
}

#[tokio::test]
async fn a_revive_log_is_done_when_it_stands_still_for_its_offset_never_reaches_the_end() {
    let log = "rmq_sys_REVIVE_LOG_orders";
    let broker = |end, revived| {
        master()
            .topic(TopicConfig::new(log, 1))
            .queue(log, 0, 0, end)
            .consumed(log, "CID_RMQ_SYS_REVIVE_GROUP", 0, revived)
    };
    let before = found(broker(9, 4)).await;
    assert!(before.is_empty());
    let moved = |after: &Backlog| after.written != before.written;
    assert!(moved(&found(broker(10, 4)).await) && moved(&found(broker(9, 5)).await));
    assert!(!moved(&found(broker(9, 4)).await));
}

#[tokio::test]
async fn what_a_broker_keeps_where_nobody_can_count_it_is_not_taken_for_nothing() {
    for key in uncounted::UNCOUNTED.map(|one| one.key) {
        let other = found(master().config(key, "false")).await;
        assert!(other.is_empty(), "{key}");
        let kept = found(master().config(key, "true")).await;
        assert_eq!((kept.total(), kept.is_empty()), (0, false), "{key}");
        let words = kept.words(&at(0));
        assert!(
            words.len() == 1 && words[0].contains(&format!("{key}=true")),
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn messages_that_do_not_stand_in_their_queues_yet_are_waited_for() {
    let found = found(master().runtime("dispatchBehindBytes", "300")).await;
    assert_eq!((found.total(), found.undispatched), (0, 300));
    assert!(!found.is_empty());
}

#[tokio::test]
async fn queues_that_are_read_and_no_longer_written_to_are_seen_too() {
    let mut narrowed = TopicConfig::new("payments", 4);
    narrowed.write_queues = 2;
    let broker = master()
        .topic(narrowed)
        .queue("payments", 3, 0, 9)
        .consumed("payments", "billing", 0, 0)
        .consumed("payments", "billing", 3, 4);
    assert_eq!(waiting(&found(broker).await), [("billing", "payments", 5)]);
}

#[tokio::test]
async fn nothing_is_read_of_another_broker() {
    for other in [
        FakeBroker::master("orders-0").at(MASTER),
        FakeBroker::replica("orders-1", 1).at(MASTER),
    ] {
        let read = read(&rocketmq(other), MASTER, &who(), &[]).await;
        assert!(matches!(read, Err(Error::AnotherBroker { .. })), "{read:?}");
    }
}

#[tokio::test]
async fn whichever_answer_is_missing_nothing_is_known() {
    let broker = master()
        .queue("payments", 0, 0, 10)
        .consumed("payments", "billing", 0, 1)
        .online("audit", "client-1", &["payments"]);
    let rocketmq = rocketmq(broker);
    look(&rocketmq, MASTER, &who(), Whom::default()).await.unwrap();
    let requests = rocketmq.asked().len();
    assert!(requests > 8, "{requests}");
    for nth in 1..=requests {
        rocketmq.fails_at(nth, crate::admin::fake::Moment::Before);
        let looked = look(&rocketmq, MASTER, &who(), Whom::default()).await;
        assert!(looked.is_err(), "request {nth} of {requests}");
    }
}

#[tokio::test]
async fn timers_that_cannot_be_read_are_not_taken_for_empty() {
    for (key, value) in [
        ("scheduleMessageOffset_3", "1;4"),
        ("timerCongestNum", "many"),
        ("dispatchBehindBytes", ""),
    ] {
        let rocketmq = rocketmq(master().runtime(key, value));
        let read = read(&rocketmq, MASTER, &who(), &[]).await;
        assert!(matches!(read, Err(Error::Malformed { .. })), "{key}: {read:?}");
    }
}

#[tokio::test]
async fn the_worst_are_named_with_the_age_of_their_last_commit() {
    let mut broker = master().topic(TopicConfig::new("empty", 1));
    for group in 1..=7 {
        broker = broker
            .queue("payments", 0, 0, 10)
            .consumed("payments", &format!("group-{group}"), 0, group);
    }
    let found = found(
        broker
            .queue("parcels", 0, 0, 100)
            .online("new", "c", &["parcels"]),
    )
    .await;
    assert_eq!(waiting(&found)[0], ("new", "parcels", 100));
    let words = found.words(&at(1_700_000_000 + 3 * 3600 + 59));
    assert_eq!(words.len(), 5);
    assert_eq!(
        words[0],
        "group new on topic parcels: 100 messages, last commit never"
    );
    assert_eq!(
        words[1],
        "group group-1 on topic payments: 9 messages, last commit 3 h ago"
    );
}

#[test]
fn ages_are_coarse() {
    let minute = 60_000;
    for (ago, words) in [
        (None, "never"),
        (Some(-5), "0 min ago"),
        (Some(59), "0 min ago"),
        (Some(59 * minute), "59 min ago"),
        (Some(60 * minute), "1 h ago"),
        (Some(47 * 60 * minute), "47 h ago"),
        (Some(48 * 60 * minute), "2 days ago"),
        (Some(100 * 24 * 60 * minute), "100 days ago"),
    ] {
        assert_eq!(age(0, ago.map(|ago: i64| -ago)), words);
    }
}

proptest! {
    #[test]
    fn a_message_that_somebody_has_not_consumed_is_never_overlooked(
        min in 0i64..50, held in 0i64..50, consumed in proptest::option::of(0i64..120), delayed in 0i64..3,
    ) {
        let queue = QueueOffsets { min, max: min + held, last_update_ms: 0 };
        let offsets: BTreeMap<_, _> = consumed.map(|offset| (0, offset)).into_iter().collect();
        let facts = Facts {
            who: who(),
            queues: BTreeMap::from([("payments".to_owned(), BTreeMap::from([(0, queue)]))]),
            offsets: ConsumerOffsets {
                topics: BTreeMap::from([(
                    "payments".to_owned(),
                    BTreeMap::from([("billing".to_owned(), offsets)]),
                )]),
            },
            newcomers: BTreeMap::new(),
            runtime: RuntimeInfo::default(),
            uncounted: Vec::new(),
            delayed: BTreeMap::from([(1, Delayed { delivered: 0, max: delayed })]),
        };
        let wanted = (min..min + held).filter(|message| *message >= consumed.unwrap_or(min)).count();
        let found = backlog(&facts, &[]);
        prop_assert_eq!(usize::try_from(found.unconsumed).unwrap(), wanted);
        prop_assert_eq!(found.is_empty(), wanted == 0 && delayed == 0);
        prop_assert_eq!(backlog(&facts, &["billing".to_owned()]).total(), delayed);
    }
}
