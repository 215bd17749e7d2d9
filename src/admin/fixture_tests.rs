//! What real servers answered, read by what reads their answers. `tests/fixtures/rocketmq` tells how it was captured.

use std::path::PathBuf;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::frame::{Codec, Frame};
use super::json::{self, Value};
use super::system::{is_system_group, is_system_topic};
use super::{
    BrokerData, Delayed, QueueData, RoutedBroker, SubscriptionGroup, TimerBacklog, TopicConfig, Topics,
    message,
};

const VERSIONS: [&str; 3] = ["4.5.0", "4.9.7", "5.5.0"];
/// Every request of which there is an answer, with its code, which is also the opaque it was asked with.
const REQUESTS: [(&str, i32); 14] = [
    ("GET_ALL_CONSUMER_OFFSET", 43),
    ("GET_ALL_DELAY_OFFSET", 45),
    ("GET_ALL_SUBSCRIPTIONGROUP_CONFIG", 201),
    ("GET_ALL_TOPIC_CONFIG", 21),
    ("GET_BROKER_CLUSTER_INFO", 106),
    ("GET_BROKER_CONFIG", 26),
    ("GET_BROKER_RUNTIME_INFO", 28),
    ("GET_CONSUME_STATS", 208),
    ("GET_KVLIST_BY_NAMESPACE", 219),
    ("GET_ROUTEINFO_BY_TOPIC", 105),
    ("GET_TOPIC_STATS_INFO", 202),
    ("QUERY_CONSUMER_OFFSET", 14),
    ("QUERY_TOPIC_CONSUME_BY_WHO", 300),
    ("unknown-request", 4711),
];

fn folder(version: &str) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rocketmq");
    fixtures.join(version)
}

fn bytes(version: &str, name: &str) -> BytesMut {
    let path = folder(version).join(format!("{name}.bin"));
    let bytes = std::fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    BytesMut::from(&bytes[..])
}

fn frame(version: &str, name: &str) -> Frame {
    Codec.decode(&mut bytes(version, name)).unwrap().unwrap()
}

fn body(version: &str, name: &str) -> Value {
    json::parse(&frame(version, name).body).unwrap()
}

fn names(version: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder(version)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| name.strip_suffix(".bin").unwrap().to_owned())
        .collect()
}

/// The number under a path of keys.
fn number(value: &Value, path: &[&str]) -> i64 {
    let found = path
        .iter()
        .try_fold(value, |value, key| value.get(key))
        .and_then(Value::text);
    found
        .unwrap_or_else(|| panic!("nothing under {path:?} of {value:?}"))
        .parse()
        .unwrap()
}

#[test]
fn every_captured_answer_is_one_whole_frame_that_answers_its_request() {
    for version in VERSIONS {
        for name in names(version) {
            let mut bytes = bytes(version, &name);
            let frame = Codec.decode(&mut bytes).unwrap().unwrap();
            assert!(bytes.is_empty() && frame.is_response(), "{version} {name}");
            let request = name.split('.').next().unwrap();
            assert!(REQUESTS.contains(&(request, frame.opaque)), "{version} {name}");
            if frame.body.starts_with(b"{") {
                json::parse(&frame.body).unwrap_or_else(|err| panic!("{version} {name}: {err}"));
            }
        }
    }
}

#[test]
fn no_captured_answer_is_taken_for_whole_before_it_is() {
    for version in VERSIONS {
        for name in names(version) {
            let whole = bytes(version, &name);
            for cut in 0..whole.len() {
                let read = Codec.decode(&mut BytesMut::from(&whole[..cut]));
                assert!(
                    matches!(read, Ok(None)),
                    "{version} {name} cut at {cut}: {read:?}"
                );
            }
        }
    }
}

#[test]
fn a_name_server_lists_master_and_slave_whatever_its_header_looks_like() {
    let expected = BrokerData {
        cluster: "orders".to_owned(),
        addresses: [
            (0, "127.0.0.1:10911".to_owned()),
            (1, "127.0.0.1:10921".to_owned()),
        ]
        .into(),
    };
    let binary = "GET_BROKER_CLUSTER_INFO.binary-header";
    let all = VERSIONS.map(|version| (version, "GET_BROKER_CLUSTER_INFO"));
    for (version, name) in all.into_iter().chain([("4.5.0", binary), ("5.5.0", binary)]) {
        assert_eq!(bytes(version, name)[4] == 1, name == binary, "{version} {name}");
        let info = message::cluster::cluster_info(&frame(version, name).body).unwrap();
        assert_eq!(
            info.brokers,
            [("orders-0".to_owned(), expected.clone())].into(),
            "{version} {name}"
        );
    }
}

#[test]
fn a_broker_tells_its_version_and_since_when_it_runs() {
    for (version, text, ordinal) in [
        ("4.5.0", "V4_5_0", Some("313")),
        ("4.9.7", "V4_9_7", Some("407")),
        ("5.5.0", "V5_5_0", None),
    ] {
        let info = message::broker::runtime_info(&frame(version, "GET_BROKER_RUNTIME_INFO").body).unwrap();
        assert_eq!(info.version(), Some(text));
        assert_eq!(info.0.get("brokerVersion").map(String::as_str), ordinal);
        let topic = body(version, "GET_ALL_TOPIC_CONFIG");
        let age = number(&topic, &["dataVersion", "timestamp"]) - info.boot_timestamp().unwrap();
        assert!((0..600_000).contains(&age), "{version}: {age} ms");
        assert_eq!(info.0["scheduleMessageOffset_1"], "1,1");
        assert_eq!(info.delayed(), [(1, Delayed { delivered: 1, max: 1 })].into());
        assert_eq!((info.delayed()[&1].left(), info.put_tps()), (0, None));
        assert_eq!(
            (info.commit_log_min_offset(), info.dispatch_behind_bytes()),
            (Some(0), Some(0))
        );
        assert!(info.commit_log_max_offset() > Some(800), "{version}");
        let five = version.starts_with('5').then(TimerBacklog::default);
        assert_eq!(info.timer(), five, "{version}");
        assert_eq!(
            info.release().map(|release| release.to_string()).as_deref(),
            Some(version)
        );
    }
}

#[test]
fn master_and_slave_tell_who_they_are() {
    for version in VERSIONS {
        for (name, id, role, port) in [
            ("GET_BROKER_CONFIG", 0, "ASYNC_MASTER", "10911"),
            ("GET_BROKER_CONFIG.slave", 1, "SLAVE", "10921"),
        ] {
            let config = message::broker::broker_config(&frame(version, name).body).unwrap();
            assert_eq!(
                (config.broker_name(), config.broker_id()),
                (Some("orders-0"), Some(id))
            );
            for (key, value) in [
                ("brokerClusterName", "orders"),
                ("brokerRole", role),
                ("listenPort", port),
                ("brokerIP1", "127.0.0.1"),
                ("namesrvAddr", "127.0.0.1:9876;127.0.0.1:9877"),
                ("flushDiskType", "ASYNC_FLUSH"),
                ("brokerPermission", "6"),
                (
                    "messageDelayLevel",
                    "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h",
                ),
            ] {
                assert_eq!(config.get(key), Some(value), "{version} {name} {key}");
            }
            assert!(config.0.len() > 150);
        }
    }
}

/// What a decoder makes of a body, which it can read.
fn read<T>(version: &str, name: &str, read: fn(&[u8]) -> Result<T, String>) -> T {
    read(&frame(version, name).body).unwrap_or_else(|err| panic!("{version} {name}: {err}"))
}

#[test]
fn topics_are_read_and_those_of_users_told_from_those_of_the_broker() {
    for version in VERSIONS {
        let Topics {
            topics,
            version: changed,
        } = read(version, "GET_ALL_TOPIC_CONFIG", message::topics::topics);
        assert_eq!(changed.counter, 3, "{version}");
        assert!(changed.timestamp_ms > 1_700_000_000_000, "{version}");
        let parcels = TopicConfig::new("parcels", 1);
        let payments = TopicConfig {
            order: true,
            ..TopicConfig::new("payments", 4)
        };
        let users = topics
            .iter()
            .filter(|(name, _)| !is_system_topic(name, "orders", "orders-0"));
        let users: Vec<_> = users.map(|(_, topic)| topic.clone()).collect();
        assert_eq!(users, [parcels, payments], "{version}");
        let template = &topics["TBW102"];
        assert_eq!((template.perm, template.read_queues), (7, 8), "{version}");
    }
}

#[test]
fn groups_are_read_whole_and_those_of_users_told_from_those_of_the_broker() {
    let classic = SubscriptionGroup::new("billing")
        .with("brokerId", 0)
        .with("consumeBroadcastEnable", true)
        .with("consumeEnable", true)
        .with("consumeFromMinEnable", true)
        .with("notifyConsumerIdsChangedEnable", true)
        .with("retryMaxTimes", 16)
        .with("retryQueueNums", 1)
        .with("whichBrokerWhenConsumeSlowly", 1);
    let newer = classic
        .clone()
        .with("consumeMessageOrderly", false)
        .with("consumeTimeoutMinute", 15)
        .with("groupRetryPolicy", serde_json::json!({"type": "CUSTOMIZED"}))
        .with("groupSysFlag", 0);
    for (version, expected) in [("4.5.0", &classic), ("4.9.7", &classic), ("5.5.0", &newer)] {
        let read = read(
            version,
            "GET_ALL_SUBSCRIPTIONGROUP_CONFIG",
            message::groups::subscription_groups,
        );
        assert_eq!(read.version.counter, 1, "{version}");
        let users = read
            .groups
            .into_values()
            .filter(|group| !is_system_group(&group.name));
        let users: Vec<_> = users.collect();
        assert_eq!(users, std::slice::from_ref(expected), "{version}");
        // A consumer that came first made it.
        let meant = expected.clone().with("retryMaxTimes", 3);
        let release = version.parse().ok();
        assert!(users[0].is_placeholder_of(&meant, release), "{version}");
        assert!(
            !users[0].is_placeholder_of(expected, release),
            "{version}: as it is meant"
        );
        assert!(
            !meant.is_placeholder_of(expected, release),
            "{version}: a user made it"
        );
        for (setting, keeps) in [
            ("attributes", version == "5.5.0"),
            ("subscriptionDataSet", version == "5.5.0"),
        ] {
            let meant = expected.clone().with(setting, serde_json::json!({"a": "b"}));
            assert_eq!(
                users[0].is_placeholder_of(&meant, release),
                keeps,
                "{version}: {setting}"
            );
        }
    }
    let lost = [
        "consumeMessageOrderly",
        "consumeTimeoutMinute",
        "groupRetryPolicy",
        "groupSysFlag",
    ];
    assert_eq!(newer.lost_in(&classic), lost.into());
    assert_eq!(classic.lost_in(&newer), [].into());
}

#[test]
fn offsets_of_consumers_and_of_delays_are_read() {
    for version in VERSIONS {
        let offsets = read(
            version,
            "GET_ALL_CONSUMER_OFFSET",
            message::offsets::consumer_offsets,
        );
        assert_eq!(offsets.topics.len(), 1, "{version}");
        assert_eq!(
            offsets.of("payments", "billing"),
            Some(&[(0, 2), (1, 1)].into()),
            "{version}"
        );
        assert_eq!(offsets.groups_of("payments").collect::<Vec<_>>(), ["billing"]);
        let delayed = read(version, "GET_ALL_DELAY_OFFSET", message::offsets::delay_offsets);
        assert_eq!(delayed, [(1, 1)].into(), "{version}");
        let groups = read(
            version,
            "QUERY_TOPIC_CONSUME_BY_WHO",
            message::groups::consumer_groups,
        );
        assert_eq!(groups, ["billing"], "{version}");
        for (name, offset) in [("QUERY_CONSUMER_OFFSET", 2), ("QUERY_CONSUMER_OFFSET.unknown", 0)] {
            assert_eq!(message::offsets::offset(&frame(version, name).fields), Ok(offset));
        }
    }
}

#[test]
fn queues_carry_their_offsets_and_what_is_still_to_be_consumed() {
    for version in VERSIONS {
        let stats = read(version, "GET_TOPIC_STATS_INFO", message::offsets::topic_stats);
        let ends: Vec<_> = stats
            .iter()
            .map(|(id, queue)| (*id, queue.min, queue.max))
            .collect();
        assert_eq!(ends, [(0, 0, 3), (1, 0, 1), (2, 0, 0), (3, 0, 1)], "{version}");
        assert!(
            stats
                .values()
                .all(|queue| (queue.last_update_ms > 0) == (queue.max > 0))
        );
        let stats = read(version, "GET_CONSUME_STATS", message::offsets::consume_stats);
        let progress: Vec<_> = stats
            .queues
            .iter()
            .map(|(queue, at)| {
                (
                    queue.topic.as_str(),
                    queue.id,
                    at.broker_offset,
                    at.consumer_offset,
                )
            })
            .collect();
        let expected = [
            ("payments", 0, 3, 2),
            ("payments", 1, 1, 1),
            ("payments", 2, 0, 0),
            ("payments", 3, 1, 0),
        ];
        assert_eq!((progress, stats.lag()), (expected.to_vec(), 2), "{version}");
    }
}

#[test]
fn routes_and_keys_of_name_servers_are_read() {
    for version in VERSIONS {
        let route = read(version, "GET_ROUTEINFO_BY_TOPIC", message::cluster::route);
        let master_and_slave = ["127.0.0.1:10911", "127.0.0.1:10921"].map(ToOwned::to_owned);
        let expected = RoutedBroker {
            cluster: "orders".to_owned(),
            addresses: (0..).zip(master_and_slave).collect(),
            queues: QueueData {
                read: 4,
                write: 4,
                perm: 6,
                sys_flag: 0,
            },
        };
        assert_eq!(
            route.brokers,
            [("orders-0".to_owned(), expected)].into(),
            "{version}"
        );
        let keys = read(version, "GET_KVLIST_BY_NAMESPACE", message::cluster::kv_list);
        assert_eq!(
            keys,
            [("payments".to_owned(), "orders-0:4".to_owned())].into(),
            "{version}"
        );
    }
}

#[test]
fn what_is_told_in_the_header_is_read_from_it() {
    for version in VERSIONS {
        let offset = frame(version, "QUERY_CONSUMER_OFFSET");
        assert_eq!(offset.fields, [("offset".to_owned(), "2".to_owned())].into());
        let config = frame(version, "GET_BROKER_CONFIG");
        assert!(
            json::parse(config.fields["version"].as_bytes())
                .unwrap()
                .get("timestamp")
                .is_some()
        );
    }
}

#[test]
fn refusals_carry_their_code_and_their_words() {
    for version in VERSIONS {
        for (name, words) in [
            (
                "GET_ROUTEINFO_BY_TOPIC.unknown",
                "No topic route info in name server for the topic: nothing\nSee ",
            ),
            ("GET_TOPIC_STATS_INFO.unknown", "topic[nothing] not exist"),
        ] {
            let frame = frame(version, name);
            let remark = frame.remark.unwrap();
            assert!(
                frame.code == 17 && remark.starts_with(words),
                "{version} {name} {remark}"
            );
        }
    }
    for (version, name) in [
        ("4.9.7", "unknown-request.broker"),
        ("5.5.0", "unknown-request.broker"),
        ("5.5.0", "unknown-request.name-server"),
    ] {
        let frame = frame(version, name);
        assert_eq!(
            (frame.code, frame.remark.as_deref()),
            (3, Some(" request type 4711 not supported"))
        );
    }
}
