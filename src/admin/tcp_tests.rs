//! Every request to the letter, and what becomes of the answers that are none.

use std::collections::BTreeMap;

use futures::future::join;

use super::client_tests::{Server, patient};
use super::frame::Frame;
use super::{
    Admin, Attributes, ConfirmedAddress, ConsumedQueue, Credentials, Error, Registration, SubscriptionGroup,
    TopicConfig, confirm,
};

/// What a server is asked when `ask` is, which it answers with that.
async fn exchange<T>(ask: impl AsyncFnOnce(&str) -> T, answer: Frame) -> (Frame, T) {
    let server = Server::start().await;
    let serve = async {
        let mut peer = server.accept().await;
        let request = peer.is_asked().await;
        let opaque = request.opaque;
        peer.sends(Frame {
            opaque,
            flag: 1,
            ..answer
        })
        .await;
        (request, peer)
    };
    let (answer, (request, _peer)) = join(ask(&server.address), serve).await;
    (request, answer)
}

fn body(body: &'static str) -> Frame {
    Frame::default().with(BTreeMap::new(), body.into())
}

fn refusal(code: i32) -> Frame {
    Frame {
        code,
        remark: Some("no".to_owned()),
        ..Frame::default()
    }
}

/// A request is that code, these fields, and that body.
fn is(request: &Frame, code: i32, fields: &[(&str, &str)], body: &str) {
    let fields = fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let expected = (code, fields.collect::<BTreeMap<_, _>>());
    assert_eq!((request.code, request.fields.clone()), expected);
    assert_eq!(request.body, body.as_bytes());
}

fn confirmed(address: &str) -> ConfirmedAddress {
    ConfirmedAddress::of_a_test(address)
}

const BILLING: ConsumedQueue<'static> = ConsumedQueue {
    group: "billing",
    topic: "payments",
    id: 3,
};

#[tokio::test]
async fn name_servers_are_asked_for_routes_and_keys() {
    let admin = patient();
    let route = r#"{"brokerDatas":[],"queueDatas":[]}"#;
    let (request, _) = exchange(async |at| admin.route(at, "payments").await, body(route)).await;
    is(&request, 105, &[("topic", "payments")], "");
    let (request, topics) = exchange(
        async |at| admin.topic_list(at).await,
        body(r#"{"topicList":["payments"]}"#),
    )
    .await;
    is(&request, 206, &[], "");
    assert_eq!(topics, Ok(vec!["payments".to_owned()]));
    let (request, keys) = exchange(
        async |at| admin.kv_list(at, "N").await,
        body(r#"{"table":{"k":"v"}}"#),
    )
    .await;
    is(&request, 219, &[("namespace", "N")], "");
    assert_eq!(keys, Ok([("k".to_owned(), "v".to_owned())].into()));
}

#[tokio::test]
async fn name_servers_are_told_what_to_forget_and_to_keep() {
    let admin = patient();
    let (request, told) = exchange(async |at| admin.put_kv(at, "N", "k", "v").await, body("")).await;
    is(
        &request,
        100,
        &[("namespace", "N"), ("key", "k"), ("value", "v")],
        "",
    );
    assert_eq!(told, Ok(()));
    let (request, _) = exchange(async |at| admin.delete_kv(at, "N", "k").await, body("")).await;
    is(&request, 102, &[("namespace", "N"), ("key", "k")], "");
    let (request, _) = exchange(
        async |at| admin.delete_topic_on_name_server(at, "payments", None).await,
        body(""),
    )
    .await;
    is(&request, 216, &[("topic", "payments")], "");
    let of_cluster = async |at: &str| {
        let told = admin.delete_topic_on_name_server(at, "payments", Some("orders"));
        told.await
    };
    let (request, _) = exchange(of_cluster, body("")).await;
    is(
        &request,
        216,
        &[("topic", "payments"), ("clusterName", "orders")],
        "",
    );
    let broker = Registration {
        cluster: "orders".to_owned(),
        broker_name: "orders-0".to_owned(),
        broker_id: 1,
        address: "198.18.0.3:10911".to_owned(),
    };
    let (request, _) = exchange(async |at| admin.unregister_broker(at, &broker).await, body("")).await;
    let fields = [
        ("brokerAddr", "198.18.0.3:10911"),
        ("brokerId", "1"),
        ("brokerName", "orders-0"),
        ("clusterName", "orders"),
    ];
    is(&request, 104, &fields, "");
}

#[tokio::test]
async fn brokers_are_asked_for_their_tables() {
    let admin = patient();
    let topics = r#"{"topicConfigTable":{}}"#;
    let (request, _) = exchange(async |at| admin.topics(at).await, body(topics)).await;
    is(&request, 21, &[], "");
    let groups = r#"{"subscriptionGroupTable":{}}"#;
    let (request, _) = exchange(async |at| admin.subscription_groups(at).await, body(groups)).await;
    is(&request, 201, &[], "");
    let none = r#"{"offsetTable":{}}"#;
    let (request, _) = exchange(async |at| admin.consumer_offsets(at).await, body(none)).await;
    is(&request, 43, &[], "");
    let (request, _) = exchange(async |at| admin.delay_offsets(at).await, body(none)).await;
    is(&request, 45, &[], "");
    let (request, _) = exchange(async |at| admin.topic_stats(at, "payments").await, body(none)).await;
    is(&request, 202, &[("topic", "payments")], "");
    let (request, _) = exchange(
        async |at| admin.consume_stats(at, "billing", None).await,
        body(none),
    )
    .await;
    is(&request, 208, &[("consumerGroup", "billing")], "");
    let (request, _) = exchange(
        async |at| admin.consume_stats(at, "billing", Some("payments")).await,
        body(none),
    )
    .await;
    is(
        &request,
        208,
        &[("consumerGroup", "billing"), ("topic", "payments")],
        "",
    );
    let (request, _) = exchange(
        async |at| admin.consumer_groups_of(at, "payments").await,
        body(r#"{"groupList":[]}"#),
    )
    .await;
    is(&request, 300, &[("topic", "payments")], "");
}

#[tokio::test]
async fn brokers_are_asked_who_is_connected_and_how_they_replicate() {
    let admin = patient();
    let connected = r#"{"connectionSet":[{"clientAddr":"198.18.0.9:4711","clientId":"c","language":"JAVA","version":313}],"messageModel":"CLUSTERING","subscriptionTable":{"payments":{"subString":"*"}}}"#;
    let (request, answer) = exchange(
        async |at| admin.consumer_connection(at, "billing").await,
        body(connected),
    )
    .await;
    is(&request, 203, &[("consumerGroup", "billing")], "");
    let connection = answer.unwrap().unwrap();
    assert_eq!(connection.clients["c"].address, "198.18.0.9:4711");
    assert_eq!(connection.topics, ["payments".to_owned()].into());
    assert_eq!(connection.message_model.as_deref(), Some("CLUSTERING"));

    let master = r#"{"master":true,"masterCommitLogMaxOffset":423,"inSyncSlaveNums":1,"haConnectionInfo":[{"addr":"198.18.0.4:5","slaveAckOffset":400,"diff":23,"inSync":true,"transferredByteInSecond":0}],"haClientRuntimeInfo":{"masterAddr":"","maxOffset":0}}"#;
    let (request, answer) = exchange(async |at| admin.ha_status(at).await, body(master)).await;
    is(&request, 907, &[], "");
    let status = answer.unwrap();
    assert_eq!(
        (status.max_offset, status.in_sync_slaves, status.following),
        (423, 1, None)
    );
    assert_eq!(
        (status.slaves[0].behind_bytes, status.slaves[0].in_sync),
        (23, true)
    );
    let slave = r#"{"master":false,"haConnectionInfo":[],"haClientRuntimeInfo":{"masterAddr":"198.18.0.3:10912","maxOffset":7}}"#;
    let (_, answer) = exchange(async |at| admin.ha_status(at).await, body(slave)).await;
    assert_eq!(
        answer.unwrap().following,
        Some(("198.18.0.3:10912".to_owned(), 7))
    );
}

#[tokio::test]
async fn a_topic_is_put_with_its_attributes_only_when_it_is_new() {
    let admin = patient();
    let mut topic = TopicConfig::new("payments", 4);
    topic.write_queues = 2;
    topic.attributes = [("cleanup.policy", "DELETE"), ("message.type", "FIFO")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let fields = [
        ("defaultTopic", "TBW102"),
        ("order", "false"),
        ("perm", "6"),
        ("readQueueNums", "4"),
        ("topic", "payments"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("writeQueueNums", "2"),
    ];
    let (request, _) = exchange(
        async |at| admin.put_topic(&confirmed(at), &topic, Attributes::Keep).await,
        body(""),
    )
    .await;
    is(&request, 17, &fields, "");
    let (request, _) = exchange(
        async |at| admin.put_topic(&confirmed(at), &topic, Attributes::Create).await,
        body(""),
    )
    .await;
    let attributes = [("attributes", "+cleanup.policy=DELETE,+message.type=FIFO")];
    is(&request, 17, &[&attributes[..], &fields[..]].concat(), "");
    topic.attributes.clear();
    let (request, _) = exchange(
        async |at| admin.put_topic(&confirmed(at), &topic, Attributes::Create).await,
        body(""),
    )
    .await;
    is(&request, 17, &fields, "");
}

#[tokio::test]
async fn brokers_are_told_what_to_change() {
    let admin = patient();
    let changes = [
        ("brokerPermission", "4"),
        ("namesrvAddr", "a:1;b:2"),
        ("path", r"c:\d"),
    ];
    let changes = changes
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let (request, _) = exchange(
        async |at| admin.update_broker_config(&confirmed(at), &changes).await,
        body(""),
    )
    .await;
    let properties = "brokerPermission=4\nnamesrvAddr=a:1;b:2\npath=c:\\\\d\n";
    is(&request, 25, &[], properties);
    let (request, _) = exchange(
        async |at| admin.delete_topic(&confirmed(at), "payments").await,
        body(""),
    )
    .await;
    is(&request, 215, &[("topic", "payments")], "");
    let group = SubscriptionGroup::new("billing")
        .with("retryMaxTimes", 3)
        .with("attributes", serde_json::json!({"a": "b"}));
    let (request, _) = exchange(
        async |at| admin.put_subscription_group(&confirmed(at), &group).await,
        body(""),
    )
    .await;
    let told = r#"{"attributes":{"+a":"b"},"groupName":"billing","retryMaxTimes":3}"#;
    is(&request, 200, &[], told);
    let (request, _) = exchange(
        async |at| admin.delete_subscription_group(&confirmed(at), "billing").await,
        body(""),
    )
    .await;
    let fields = [
        ("cleanOffset", "true"),
        ("groupName", "billing"),
        ("removeOffset", "true"),
    ];
    is(&request, 207, &fields, "");
    let fields = [
        ("consumerGroup", "billing"),
        ("queueId", "3"),
        ("topic", "payments"),
    ];
    let (request, _) = exchange(
        async |at| admin.update_consumer_offset(&confirmed(at), BILLING, 7).await,
        body(""),
    )
    .await;
    is(
        &request,
        15,
        &[&fields[..], &[("commitOffset", "7")]].concat(),
        "",
    );
    let told = Frame::default().with([("offset".to_owned(), "7".to_owned())].into(), "".into());
    let (request, offset) = exchange(async |at| admin.query_consumer_offset(at, BILLING).await, told).await;
    is(&request, 14, &fields, "");
    assert_eq!(offset, Ok(Some(7)));
}

#[tokio::test]
async fn the_end_of_a_queue_is_asked_for_by_its_number() {
    let admin = patient();
    let told = Frame::default().with([("offset".to_owned(), "12".to_owned())].into(), "".into());
    let (request, end) = exchange(async |at| admin.max_offset(at, "payments", 3).await, told).await;
    is(&request, 30, &[("queueId", "3"), ("topic", "payments")], "");
    assert_eq!(end, Ok(12));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_any_other_refusal_an_error() {
    let admin = patient();
    let (_, route) = exchange(async |at| admin.route(at, "payments").await, refusal(17)).await;
    assert_eq!(route, Ok(None));
    let (_, stats) = exchange(async |at| admin.topic_stats(at, "payments").await, refusal(17)).await;
    assert_eq!(stats, Ok(None));
    let (_, keys) = exchange(async |at| admin.kv_list(at, "N").await, refusal(22)).await;
    assert_eq!(keys, Ok(BTreeMap::new()));
    let (_, offset) = exchange(
        async |at| admin.query_consumer_offset(at, BILLING).await,
        refusal(22),
    )
    .await;
    assert_eq!(offset, Ok(None));
    let (_, connection) = exchange(
        async |at| admin.consumer_connection(at, "billing").await,
        refusal(206),
    )
    .await;
    assert_eq!(connection, Ok(None));
    let (_, route) = exchange(async |at| admin.route(at, "payments").await, refusal(1)).await;
    assert!(matches!(route, Err(Error::Refused { code: 1, .. })), "{route:?}");
    let (_, topics) = exchange(async |at| admin.topics(at).await, body("{}")).await;
    assert!(matches!(topics, Err(Error::Malformed { .. })), "{topics:?}");
}

#[tokio::test]
async fn a_broker_that_is_another_one_is_told_nothing() {
    let admin = patient();
    let answer = "brokerName=orders-1\nbrokerId=0\n";
    let server = exchange(
        async |at| confirm(&admin, at, "orders-0", 0).await.map(|_| ()),
        body(answer),
    );
    let (request, told) = server.await;
    is(&request, 26, &[], "");
    let Err(Error::AnotherBroker { expected, found, .. }) = told else {
        panic!("{told:?}")
    };
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("orders-0 id 0", "orders-1 id 0")
    );
    for (answer, confirmed) in [
        ("brokerName=orders-0\nbrokerId=1\n", false),
        ("brokerName=orders-0\n", false),
        ("brokerName=orders-0\nbrokerId=0\n", true),
    ] {
        let (_, told) = exchange(
            async |at| confirm(&admin, at, "orders-0", 0).await.is_ok(),
            body(answer),
        )
        .await;
        assert_eq!(told, confirmed, "{answer}");
    }
}

#[tokio::test]
async fn brokers_get_signed_requests_and_name_servers_get_none() {
    let account = Credentials::new("rocketmq2", "12345678");
    let signed = patient().signed(Some(account));
    let changes = [("brokerPermission".to_owned(), "4".to_owned())].into();
    let (request, _) = exchange(
        async |at| signed.update_broker_config(&confirmed(at), &changes).await,
        body(""),
    )
    .await;
    let fields = [
        ("AccessKey", "rocketmq2"),
        ("Signature", "RuOVGGssBEQeQgQaXQLyQ/8xjC4="),
    ];
    is(&request, 25, &fields, "brokerPermission=4\n");
    let keys = body(r#"{"table":{}}"#);
    let (request, _) = exchange(async |at| signed.kv_list(at, "N").await.map(drop), keys).await;
    is(&request, 219, &[("namespace", "N")], "");
    let unsigned = signed.signed(None);
    let (request, _) = exchange(
        async |at| unsigned.update_broker_config(&confirmed(at), &changes).await,
        body(""),
    )
    .await;
    is(&request, 25, &[], "brokerPermission=4\n");
}

#[tokio::test]
async fn signed_and_unsigned_requests_share_a_connection() {
    let (admin, server) = (patient(), Server::start().await);
    let signed = admin.signed(Some(Credentials::new("operator", "secret")));
    let ask = async {
        let _ = admin.runtime_info(&server.address).await;
        let _ = signed.runtime_info(&server.address).await;
    };
    let serve = async {
        let mut peer = server.accept().await;
        for signed in [false, true] {
            let request = peer.is_asked().await;
            assert_eq!(request.fields.contains_key("Signature"), signed);
            let opaque = request.opaque;
            peer.sends(Frame {
                opaque,
                flag: 1,
                ..body(r#"{"table":{}}"#)
            })
            .await;
        }
        peer
    };
    join(ask, serve).await;
    assert_eq!(admin.connection_count(), 1);
}
