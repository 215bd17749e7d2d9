//! What real servers answered, read by what reads their answers. `tests/fixtures/rocketmq` tells how it was captured.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::frame::{Codec, Frame};
use super::json::{self, Key, Value};
use super::{BrokerData, message};

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

/// A number of each queue of a table whose keys are message queues, by queue id.
fn of_queues(table: &Value, name: &str) -> BTreeMap<i64, i64> {
    let entries = table.entries().iter();
    entries
        .map(|(queue, data)| {
            let Key::Object(queue) = queue else {
                panic!("{queue:?} is no message queue")
            };
            let queue = Value::Object(queue.clone());
            assert_eq!(queue.get("topic").and_then(Value::text), Some("payments"));
            (number(&queue, &["queueId"]), number(data, &[name]))
        })
        .collect()
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

#[test]
fn topics_groups_and_offsets_stand_in_the_bodies_as_they_were_made() {
    for version in VERSIONS {
        let topics = body(version, "GET_ALL_TOPIC_CONFIG");
        for (topic, queues) in [("payments", 4), ("parcels", 1)] {
            let path = ["topicConfigTable", topic, "writeQueueNums"];
            assert_eq!(number(&topics, &path), queues);
        }
        let groups = body(version, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG");
        let path = ["subscriptionGroupTable", "billing", "retryMaxTimes"];
        assert_eq!(number(&groups, &path), 16);
        let offsets = body(version, "GET_ALL_CONSUMER_OFFSET");
        for (queue, offset) in [("0", 2), ("1", 1)] {
            let path = ["offsetTable", "payments@billing", queue];
            assert_eq!(number(&offsets, &path), offset);
        }
        let delayed = body(version, "GET_ALL_DELAY_OFFSET");
        assert_eq!(number(&delayed, &["offsetTable", "1"]), 1);
        let route = body(version, "GET_ROUTEINFO_BY_TOPIC");
        let Some(Value::List(brokers)) = route.get("brokerDatas") else {
            panic!("{route:?}")
        };
        let address = brokers[0]
            .get("brokerAddrs")
            .and_then(|addresses| addresses.get("1"));
        assert_eq!(address.and_then(Value::text), Some("127.0.0.1:10921"));
        let order = body(version, "GET_KVLIST_BY_NAMESPACE");
        let queues = order.get("table").and_then(|table| table.get("payments"));
        assert_eq!(queues.and_then(Value::text), Some("orders-0:4"));
        let groups = body(version, "QUERY_TOPIC_CONSUME_BY_WHO");
        let expected = Value::List(vec![Value::Text("billing".to_owned())]);
        assert_eq!(groups.get("groupList"), Some(&expected));
    }
}

#[test]
fn message_queues_as_keys_carry_their_offsets() {
    for version in VERSIONS {
        let stats = body(version, "GET_TOPIC_STATS_INFO");
        let table = stats.get("offsetTable").unwrap();
        let expected = [(0, 3), (1, 1), (2, 0), (3, 1)];
        assert_eq!(of_queues(table, "maxOffset"), expected.into());
        let lag = body(version, "GET_CONSUME_STATS");
        let table = lag.get("offsetTable").unwrap();
        assert_eq!(of_queues(table, "brokerOffset"), expected.into());
        let expected = [(0, 2), (1, 1), (2, 0), (3, 0)];
        assert_eq!(of_queues(table, "consumerOffset"), expected.into());
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
