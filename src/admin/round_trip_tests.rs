//! No answer is too odd to be refused, and what is put is what is read.

use std::collections::BTreeMap;

use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fake::{FakeBroker, FakeRocketMq};
use super::message::{broker, cluster, groups, offsets, topics};
use super::{Admin, Attributes, Delayed, SubscriptionGroup, TopicConfig, confirm};

const MASTER: &str = "198.18.0.3:10911";

/// Every decoder there is: none may panic.
fn decode_all(body: &[u8]) {
    let _ = cluster::cluster_info(body);
    let _ = cluster::route(body);
    let _ = cluster::topic_list(body);
    let _ = cluster::kv_list(body);
    let _ = broker::runtime_info(body).map(|info| {
        (
            info.release(),
            info.delayed().values().map(Delayed::left).max(),
            info.put_tps(),
            info.timer(),
        )
    });
    let _ = broker::broker_config(body).map(|config| config.broker_id());
    let _ = broker::ha_status(body);
    let _ = topics::topics(body);
    let _ = groups::subscription_groups(body);
    let _ = groups::consumer_groups(body);
    let _ = groups::consumer_connection(body);
    let _ = offsets::consumer_offsets(body);
    let _ = offsets::delay_offsets(body);
    let _ = offsets::topic_stats(body);
    let _ = offsets::consume_stats(body).map(|stats| stats.lag());
}

/// Bodies with the names that the decoders look for, and anything under them.
fn odd_body() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "attributes",
        "brokerAddrTable",
        "brokerAddrs",
        "brokerDatas",
        "brokerName",
        "brokerOffset",
        "connectionSet",
        "consumerOffset",
        "dataVersion",
        "groupList",
        "haConnectionInfo",
        "master",
        "maxOffset",
        "offsetTable",
        "payments@billing",
        "queueDatas",
        "queueId",
        "readQueueNums",
        "subscriptionGroupTable",
        "subscriptionTable",
        "table",
        "topicConfigTable",
        "topicList",
        "0",
        "-1",
        "scheduleMessageOffset_1",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "1e400",
            "-",
            "0.0",
            "99999999999999999999",
            "\"1,x\"",
            "\"{\"",
            "\"\"",
            "\" 7 \""
        ])
        .prop_map(ToOwned::to_owned),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        let key = prop_oneof![
            names.clone().prop_map(|name| format!("\"{name}\"")),
            any::<i64>().prop_map(|number| number.to_string()),
            prop::collection::vec(inner.clone(), 0..2)
                .prop_map(|values| format!("{{\"queueId\":{}}}", values.first().map_or("0", String::as_str))),
        ];
        let object = prop::collection::vec((key, inner.clone()), 0..6).prop_map(|entries| {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            format!("{{{}}}", entries.join(","))
        });
        let list = prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![4 => object, 1 => list]
    })
}

/// As RocketMQ allows them, and as long as it allows them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[%a-zA-Z0-9_-]{3,20}", 1 => "[a-zA-Z0-9_-]{125}"]
}

fn topic() -> impl Strategy<Value = TopicConfig> {
    let attributes = prop::option::of(prop::sample::select(vec!["NORMAL", "FIFO", "DELAY"]));
    (
        name(),
        1..64i32,
        0..64i32,
        0..8i32,
        any::<bool>(),
        any::<bool>(),
        attributes,
    )
        .prop_map(
            |(name, read_queues, write_queues, perm, order, multi, message_type)| TopicConfig {
                name: format!("t-{name}"),
                read_queues,
                write_queues,
                perm,
                filter: if multi { "MULTI_TAG" } else { "SINGLE_TAG" }.to_owned(),
                sys_flag: 0,
                order,
                attributes: message_type
                    .map(|kind| ("message.type".to_owned(), kind.to_owned()))
                    .into_iter()
                    .collect(),
            },
        )
}

fn setting() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn group() -> impl Strategy<Value = SubscriptionGroup> {
    let settings = prop::collection::btree_map("[a-zA-Z]{3,12}", setting(), 0..6);
    ("[a-zA-Z0-9_-]{1,20}", settings).prop_map(|(name, mut settings)| {
        settings
            .retain(|name, _| !["attributes", "groupName", "subscriptionDataSet"].contains(&name.as_str()));
        SubscriptionGroup {
            name: format!("g-{name}"),
            settings,
        }
    })
}

/// The only answer there is: the fake never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd_for_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn no_body_is_too_odd_for_a_decoder(body in odd_body()) {
        decode_all(body.as_bytes());
    }

    #[test]
    fn a_topic_that_is_put_is_read_back(topic in topic()) {
        let rocketmq = FakeRocketMq::default();
        rocketmq.broker(FakeBroker::master("orders-0").at(MASTER));
        let broker = now(confirm(&rocketmq, MASTER, "orders-0", 0)).unwrap();
        for attributes in [Attributes::Create, Attributes::Keep] {
            now(broker.put_topic(&topic, attributes)).unwrap();
            prop_assert_eq!(&now(rocketmq.topics(MASTER)).unwrap().topics[&topic.name], &topic);
        }
    }

    #[test]
    fn a_group_that_is_put_keeps_all_of_its_settings(group in group()) {
        let rocketmq = FakeRocketMq::default();
        rocketmq.broker(FakeBroker::master("orders-0").at(MASTER));
        let broker = now(confirm(&rocketmq, MASTER, "orders-0", 0)).unwrap();
        now(broker.put_subscription_group(&group)).unwrap();
        let read = now(rocketmq.subscription_groups(MASTER)).unwrap();
        prop_assert_eq!(group.lost_in(&read.groups[&group.name]), [].into());
    }

    /// As a broker that keeps what it is told would tell it.
    #[test]
    fn a_group_that_is_written_is_read_back(group in group()) {
        let told: Value = serde_json::from_slice(&groups::put_subscription_group(&group).body).unwrap();
        let table = json!({"subscriptionGroupTable": {group.name.clone(): told}});
        let read = groups::subscription_groups(table.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&read.groups[&group.name], &group);
    }
}

#[test]
fn a_set_in_another_order_and_what_is_empty_make_no_difference() {
    let read = |group: &str| {
        let body = format!(r#"{{"subscriptionGroupTable":{{"billing":{group}}}}}"#);
        groups::subscription_groups(body.as_bytes()).unwrap().groups
    };
    let one = read(r#"{"subscriptionDataSet":[{"topic":"a"},{"topic":"b"}],"attributes":{},"x":[2,1]}"#);
    let same = read(r#"{"x":[2,1],"subscriptionDataSet":[{"topic":"b"},{"topic":"a"}],"y":null}"#);
    let other = read(r#"{"subscriptionDataSet":[{"topic":"a"},{"topic":"b"}],"x":[1,2]}"#);
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn attributes_are_told_as_they_are() {
    let body = br#"{"topicConfigTable":{"t":{"topicName":"t","attributes":{"message.type":"FIFO"},"topicSynFlag":2}}}"#;
    let topic = &topics::topics(body).unwrap().topics["t"];
    let expected: BTreeMap<_, _> = [("message.type".to_owned(), "FIFO".to_owned())].into();
    assert_eq!(
        (&topic.attributes, topic.sys_flag, topic.read_queues),
        (&expected, 2, 16)
    );
}

#[test]
fn queues_as_text_keys_are_read_too() {
    let body = br#"{"offsetTable":{"{\"brokerName\":\"b\",\"queueId\":2,\"topic\":\"t\"}":{"maxOffset":5,"minOffset":1}}}"#;
    let stats = offsets::topic_stats(body).unwrap();
    assert_eq!((stats[&2].min, stats[&2].max), (1, 5));
}
