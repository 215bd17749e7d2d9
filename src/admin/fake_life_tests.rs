//! How a fake RocketMQ's life goes on: changes, time, disks and troubles.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fake::{FakeBroker, FakeRocketMq, Moment};
use super::system::SCHEDULE_TOPIC;
use super::{
    Admin, Attributes, Confirmed, ConsumedQueue, Credentials, Error, HaStatus, Registration,
    SubscriptionGroup, TopicConfig, confirm,
};

const NS: [&str; 2] = ["198.18.0.2:9876", "198.18.1.2:9876"];
const MASTER: &str = "198.18.0.3:10911";
const SLAVE: &str = "198.18.0.4:10911";

fn master(version: &str) -> FakeBroker {
    let broker = FakeBroker::master("orders-0").cluster("orders").at(MASTER);
    broker.version(version).registers_on(&NS[..1])
}

/// Two name servers, of which a master of that version registers on the first.
fn with(version: &str) -> FakeRocketMq {
    let rocketmq = FakeRocketMq::default();
    rocketmq
        .name_server(NS[0])
        .name_server(NS[1])
        .broker(master(version));
    rocketmq
}

async fn confirmed(rocketmq: &FakeRocketMq) -> Confirmed<'_> {
    confirm(rocketmq, MASTER, "orders-0", 0).await.unwrap()
}

async fn change(rocketmq: &FakeRocketMq, key: &str, value: &str) {
    let changes = [(key.to_owned(), value.to_owned())].into();
    confirmed(rocketmq).await.update_config(&changes).await.unwrap();
}

async fn is_listed(rocketmq: &FakeRocketMq, name_server: &str) -> bool {
    let info = rocketmq.cluster_info(name_server).await.unwrap();
    info.brokers.contains_key("orders-0")
}

async fn put(rocketmq: &FakeRocketMq, topic: &TopicConfig) -> Result<(), Error> {
    confirmed(rocketmq)
        .await
        .put_topic(topic, Attributes::Create)
        .await
}

#[tokio::test]
async fn a_new_list_of_name_servers_is_taken_live_only_by_versions_that_do() {
    for (version, live) in [
        ("V4_5_0", false),
        ("V4_9_3", false),
        ("V4_9_4", true),
        ("V5_5_0", true),
    ] {
        let rocketmq = with(version);
        rocketmq.resolves("names-1:9876", NS[1]);
        change(&rocketmq, "namesrvAddr", "names-1:9876").await;
        let config = rocketmq.broker_config(MASTER).await.unwrap();
        assert_eq!(config.get("namesrvAddr"), Some("names-1:9876"), "{version}");
        rocketmq.pass_time(Duration::from_mins(1));
        assert!(!is_listed(&rocketmq, NS[1]).await, "{version}");
        rocketmq.pass_time(Duration::from_mins(1));
        assert_eq!(is_listed(&rocketmq, NS[1]).await, live, "{version}");
        rocketmq.pass_time(Duration::from_secs(150));
        assert_eq!(is_listed(&rocketmq, NS[0]).await, !live, "{version}");
    }
}

#[tokio::test]
async fn registering_all_is_when_a_new_list_of_name_servers_has_been_taken() {
    let rocketmq = with("V5_5_0");
    change(&rocketmq, "namesrvAddr", &NS.join(";")).await;
    assert!(!is_listed(&rocketmq, NS[1]).await);
    rocketmq.register_all();
    assert!(is_listed(&rocketmq, NS[0]).await && is_listed(&rocketmq, NS[1]).await);
}

#[tokio::test]
async fn who_is_gone_without_a_word_is_struck_off_after_a_while_and_who_registers_is_not() {
    let rocketmq = with("V5_5_0");
    for _ in 0..10 {
        rocketmq.pass_time(Duration::from_secs(29));
        assert!(is_listed(&rocketmq, NS[0]).await);
    }
    rocketmq.becomes(MASTER, |broker| broker.registers_on(&[]));
    rocketmq.pass_time(Duration::from_secs(90));
    assert!(is_listed(&rocketmq, NS[0]).await);
    rocketmq.pass_time(Duration::from_mins(1));
    assert!(!is_listed(&rocketmq, NS[0]).await);
    assert_eq!(rocketmq.route(NS[0], "orders").await, Ok(None));
}

#[tokio::test]
async fn a_permission_is_in_the_routes_at_once_and_leaves_the_topic_as_it_is() {
    let rocketmq = with("V4_5_0");
    put(&rocketmq, &TopicConfig::new("payments", 4)).await.unwrap();
    rocketmq.register_all();
    for (permission, routed) in [("4", 4), ("6", 6)] {
        change(&rocketmq, "brokerPermission", permission).await;
        let route = rocketmq.route(NS[0], "payments").await.unwrap().unwrap();
        let queues = route.brokers["orders-0"].queues;
        assert_eq!((queues.perm, queues.is_writable()), (routed, routed == 6));
        let topics = rocketmq.topics(MASTER).await.unwrap().topics;
        assert_eq!(topics["payments"].perm, 6);
    }
}

#[tokio::test]
async fn what_a_broker_ignores_it_says_yes_to() {
    let rocketmq = FakeRocketMq::default();
    rocketmq.broker(
        master("V5_5_0")
            .ignores("inSyncReplicas")
            .config("inSyncReplicas", "1"),
    );
    change(&rocketmq, "inSyncReplicas", "2").await;
    let config = rocketmq.broker_config(MASTER).await.unwrap();
    assert_eq!(config.get("inSyncReplicas"), Some("1"));
}

#[tokio::test]
async fn a_topic_is_routed_when_it_is_put_and_forgotten_where_it_is_deleted() {
    let rocketmq = with("V5_5_0");
    put(&rocketmq, &TopicConfig::new("payments", 4)).await.unwrap();
    let route = rocketmq.route(NS[0], "payments").await.unwrap().unwrap();
    assert_eq!(route.brokers["orders-0"].addresses[&0], MASTER);
    assert_eq!(rocketmq.route(NS[1], "payments").await, Ok(None));

    let forget = rocketmq.delete_topic_on_name_server(NS[0], "payments", Some("stock"));
    forget.await.unwrap();
    assert!(rocketmq.route(NS[0], "payments").await.unwrap().is_some());
    confirmed(&rocketmq).await.delete_topic("payments").await.unwrap();
    assert!(rocketmq.route(NS[0], "payments").await.unwrap().is_some());
    let forget = rocketmq.delete_topic_on_name_server(NS[0], "payments", Some("orders"));
    forget.await.unwrap();
    rocketmq.register_all();
    assert_eq!(rocketmq.route(NS[0], "payments").await, Ok(None));
}

#[tokio::test]
async fn an_old_broker_says_that_it_has_a_topic_before_it_has() {
    let payments = TopicConfig::new("payments", 4);
    for (version, at_once) in [("V4_7_0", false), ("V4_7_1", true)] {
        let rocketmq = with(version);
        put(&rocketmq, &payments).await.unwrap();
        let topics = rocketmq.topics(MASTER).await.unwrap().topics;
        assert_eq!(topics.contains_key("payments"), at_once, "{version}");
        let topics = rocketmq.topics(MASTER).await.unwrap().topics;
        assert_eq!(topics["payments"], payments, "{version}");
        assert!(
            rocketmq.route(NS[0], "payments").await.unwrap().is_some(),
            "{version}"
        );
    }
}

#[tokio::test]
async fn order_and_attributes_are_kept_by_versions_that_know_them() {
    let mut topic = TopicConfig::new("payments", 4);
    topic.order = true;
    topic.attributes = [("cleanup.policy".to_owned(), "DELETE".to_owned())].into();
    for (version, order, attributes) in [("V4_9_7", false, 0), ("V5_0_0", false, 1), ("V5_1_0", true, 1)] {
        let rocketmq = with(version);
        put(&rocketmq, &topic).await.unwrap();
        let put_once = &rocketmq.topics(MASTER).await.unwrap().topics["payments"];
        assert_eq!(
            (put_once.order, put_once.attributes.len()),
            (order, attributes),
            "{version}"
        );
        let again = put(&rocketmq, &topic).await;
        assert_eq!(again.is_err(), attributes > 0, "{version}");
        let broker = confirmed(&rocketmq).await;
        broker.put_topic(&topic, Attributes::Keep).await.unwrap();
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_as_the_version_does() {
    for (version, topic, code) in [
        ("V4_5_0", "orders", Some(1)),
        ("V4_5_0", "TBW102", None),
        ("V4_9_7", "TBW102", Some(1)),
        ("V5_3_2", "orders-0", Some(29)),
        ("V5_5_0", "a b", Some(29)),
        ("V5_5_0", "%RETRY%billing", None),
    ] {
        let rocketmq = with(version);
        let refused = match put(&rocketmq, &TopicConfig::new(topic, 1)).await {
            Err(Error::Refused { code, .. }) => Some(code),
            other => other.map(|()| None).unwrap(),
        };
        assert_eq!(refused, code, "{version} {topic}");
    }
}

#[tokio::test]
async fn a_group_gets_defaults_and_an_old_broker_drops_what_it_does_not_know() {
    let group = SubscriptionGroup::new("billing")
        .with("retryMaxTimes", 3)
        .with("consumeTimeoutMinute", 1);
    for (version, kept) in [("V4_9_7", false), ("V5_5_0", true)] {
        let rocketmq = with(version);
        let broker = confirmed(&rocketmq).await;
        broker.put_subscription_group(&group).await.unwrap();
        let groups = rocketmq.subscription_groups(MASTER).await.unwrap().groups;
        let read = &groups["billing"];
        assert_eq!(
            (&read.settings["retryMaxTimes"], &read.settings["retryQueueNums"]),
            (&3.into(), &1.into())
        );
        assert_eq!(group.lost_in(read).is_empty(), kept, "{version}");
        broker.delete_subscription_group("billing").await.unwrap();
        let groups = rocketmq.subscription_groups(MASTER).await.unwrap().groups;
        assert!(!groups.contains_key("billing") && groups.contains_key("TOOLS_CONSUMER"));
    }
}

#[tokio::test]
async fn offsets_tell_what_is_still_to_be_consumed() {
    let rocketmq = FakeRocketMq::default();
    let broker = master("V5_5_0")
        .topic(TopicConfig::new("payments", 2))
        .group(&SubscriptionGroup::new("billing"))
        .queue("payments", 0, 0, 7)
        .queue("payments", 1, 5, 9)
        .consumed("payments", "billing", 0, 5)
        .delayed(3, 1, 4);
    rocketmq.broker(broker);
    let stats = rocketmq.consume_stats(MASTER, "billing", None).await.unwrap();
    assert_eq!(stats.lag(), 2 + 9);
    let queue = |id| ConsumedQueue {
        group: "billing",
        topic: "payments",
        id,
    };
    assert_eq!(
        rocketmq.query_consumer_offset(MASTER, queue(0)).await,
        Ok(Some(5))
    );
    assert_eq!(rocketmq.query_consumer_offset(MASTER, queue(1)).await, Ok(None));
    let broker = confirmed(&rocketmq).await;
    broker.update_consumer_offset(queue(1), 9).await.unwrap();
    let stats = rocketmq
        .consume_stats(MASTER, "billing", Some("payments"))
        .await
        .unwrap();
    assert_eq!(stats.lag(), 2);
    let unknown = ConsumedQueue {
        group: "nobody",
        ..queue(0)
    };
    assert!(broker.update_consumer_offset(unknown, 1).await.is_err());
    assert_eq!(rocketmq.delay_offsets(MASTER).await, Ok([(3, 1)].into()));
    let info = rocketmq.runtime_info(MASTER).await.unwrap();
    assert_eq!(
        (info.delayed()[&3].left(), info.commit_log_max_offset()),
        (3, Some(2000))
    );
    assert_eq!(rocketmq.topic_stats(MASTER, "nothing").await, Ok(None));
}

#[tokio::test]
async fn a_level_of_which_nothing_was_delivered_is_told_by_some_versions_only() {
    for (version, told, ends) in [
        ("V4_5_0", true, None),
        ("V4_9_2", true, Some(4)),
        ("V4_9_3", false, Some(4)),
        ("V4_9_8", false, Some(4)),
        ("V5_5_0", true, Some(4)),
    ] {
        let rocketmq = with(version);
        rocketmq.becomes(MASTER, |broker| broker.delayed(16, 0, 4));
        let tells = async || {
            let info = rocketmq.runtime_info(MASTER).await.unwrap();
            info.delayed().contains_key(&16)
        };
        assert_eq!(tells().await, told, "{version}");
        let stats = rocketmq.topic_stats(MASTER, SCHEDULE_TOPIC).await.unwrap();
        assert_eq!(stats.map(|queues| queues[&15].max), ends, "{version}");
        rocketmq.becomes(MASTER, |broker| broker.delayed(16, 1, 4));
        assert!(tells().await, "{version}");
    }
}

#[tokio::test]
async fn who_is_connected_counts_as_a_group_of_its_topics() {
    let rocketmq = with("V5_5_0");
    rocketmq.becomes(MASTER, |broker| {
        broker
            .online("billing", "c", &["payments"])
            .consumed("payments", "audit", 0, 1)
    });
    let groups = rocketmq.consumer_groups_of(MASTER, "payments").await.unwrap();
    assert_eq!(groups, ["audit", "billing"]);
    let connection = rocketmq
        .consumer_connection(MASTER, "billing")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(connection.topics, ["payments".to_owned()].into());
    rocketmq.becomes(MASTER, |broker| broker.offline("billing"));
    assert_eq!(rocketmq.consumer_connection(MASTER, "billing").await, Ok(None));
}

#[tokio::test]
async fn a_slave_has_what_its_master_has_with_the_next_registration() {
    let rocketmq = with("V5_5_0");
    rocketmq.broker(FakeBroker::replica("orders-0", 1).cluster("orders").at(SLAVE));
    put(&rocketmq, &TopicConfig::new("payments", 4)).await.unwrap();
    assert!(
        !rocketmq
            .topics(SLAVE)
            .await
            .unwrap()
            .topics
            .contains_key("payments")
    );
    rocketmq.register_all();
    assert_eq!(rocketmq.topics(SLAVE).await, rocketmq.topics(MASTER).await);
    let route = rocketmq.route(NS[0], "payments").await.unwrap().unwrap();
    assert_eq!(route.brokers["orders-0"].addresses.len(), 2);
}

#[tokio::test]
async fn a_disk_outlives_its_broker_and_a_broker_without_one_starts_with_nothing() {
    for (disk, kept) in [(Some("data-orders-0-0"), true), (None, false)] {
        let start = |address: &str| {
            let broker = master("V5_5_0").at(address);
            disk.map_or(broker.clone(), |disk| broker.on_disk(disk))
        };
        let rocketmq = FakeRocketMq::default();
        rocketmq.name_server(NS[0]).broker(start(MASTER));
        put(&rocketmq, &TopicConfig::new("payments", 4)).await.unwrap();
        change(&rocketmq, "brokerPermission", "4").await;
        rocketmq.kill(MASTER).broker(start(SLAVE));
        let topics = rocketmq.topics(SLAVE).await.unwrap().topics;
        assert_eq!(topics.contains_key("payments"), kept);
        let config = rocketmq.broker_config(SLAVE).await.unwrap();
        assert_eq!(config.broker_permission(), Some(6), "live changes are lost");
        rocketmq.kill(SLAVE).wipe("data-orders-0-0").broker(start(MASTER));
        assert!(
            !rocketmq
                .broker_at(MASTER)
                .unwrap()
                .topics()
                .contains_key("payments")
        );
    }
}

#[tokio::test]
async fn a_new_name_server_knows_no_keys() {
    let rocketmq = with("V5_5_0");
    rocketmq.put_kv(NS[0], "N", "k", "v").await.unwrap();
    rocketmq.kv(NS[0], "N", "other", "w");
    assert_eq!(rocketmq.kv_list(NS[0], "N").await.unwrap().len(), 2);
    assert_eq!(rocketmq.kv_list(NS[1], "N").await, Ok(BTreeMap::new()));
    rocketmq.delete_kv(NS[0], "N", "k").await.unwrap();
    assert_eq!(rocketmq.kv_list(NS[0], "N").await.unwrap().len(), 1);
    rocketmq.name_server(NS[0]);
    assert_eq!(rocketmq.kv_list(NS[0], "N").await, Ok(BTreeMap::new()));
}

#[tokio::test]
async fn a_broker_that_is_struck_off_at_our_word_comes_back_if_it_runs() {
    let rocketmq = with("V5_5_0");
    let mut registration = Registration {
        cluster: "orders".to_owned(),
        broker_name: "orders-0".to_owned(),
        broker_id: 0,
        address: "198.18.0.99:10911".to_owned(),
    };
    rocketmq.unregister_broker(NS[0], &registration).await.unwrap();
    assert!(is_listed(&rocketmq, NS[0]).await, "another address");
    MASTER.clone_into(&mut registration.address);
    rocketmq.unregister_broker(NS[0], &registration).await.unwrap();
    assert!(!is_listed(&rocketmq, NS[0]).await);
    rocketmq.register_all();
    assert!(is_listed(&rocketmq, NS[0]).await);
}

#[tokio::test]
async fn replication_is_told_by_versions_that_know_it_and_oldest_ones_stay_silent() {
    for (version, code) in [("V4_9_7", Some(3)), ("V4_9_0", None)] {
        let refused = match with(version).ha_status(MASTER).await {
            Err(Error::Refused { code, .. }) => Some(code),
            Err(Error::Timeout { .. }) => None,
            other => panic!("{version}: {other:?}"),
        };
        assert_eq!(refused, code, "{version}");
    }
    let rocketmq = with("V5_5_0");
    assert!(rocketmq.ha_status(MASTER).await.unwrap().master);
    let status = HaStatus {
        in_sync_slaves: 1,
        ..HaStatus::default()
    };
    rocketmq.becomes(MASTER, |broker| broker.replicates(status.clone()));
    assert_eq!(rocketmq.ha_status(MASTER).await, Ok(status));
}

#[tokio::test]
async fn a_crash_point_is_before_or_after_a_request_takes_effect() {
    for (moment, done) in [(Moment::Before, [true, false]), (Moment::After, [true, true])] {
        let rocketmq = with("V5_5_0");
        let broker = confirmed(&rocketmq).await;
        rocketmq.fails_at_change(2, moment);
        let topics = ["a-1", "a-2"].map(|name| TopicConfig::new(name, 1));
        let mut answers = Vec::new();
        for topic in &topics {
            rocketmq.runtime_info(MASTER).await.unwrap();
            answers.push(broker.put_topic(topic, Attributes::Create).await);
        }
        assert!(answers[0].is_ok());
        assert!(
            matches!(&answers[1], Err(Error::Closed { .. })),
            "{:?}",
            answers[1]
        );
        let there = rocketmq.topics(MASTER).await.unwrap().topics;
        assert_eq!(topics.map(|topic| there.contains_key(&topic.name)), done);
        assert_eq!(rocketmq.changes().len(), 2);
    }
    let rocketmq = with("V5_5_0");
    rocketmq.fails_at(2, Moment::Before);
    rocketmq.runtime_info(MASTER).await.unwrap();
    assert!(rocketmq.runtime_info(MASTER).await.is_err());
    assert!(rocketmq.runtime_info(MASTER).await.is_ok());
}

#[tokio::test]
async fn a_broker_with_acls_answers_its_account_only() {
    let account = Credentials::new("operator", "secret");
    let rocketmq = FakeRocketMq::default();
    rocketmq
        .name_server(NS[0])
        .broker(master("V5_5_0").only_for(account.clone()));
    assert!(matches!(
        rocketmq.topics(MASTER).await,
        Err(Error::Refused { code: 16, .. })
    ));
    let stranger = rocketmq.signed(Some(Credentials::new("operator", "guess")));
    assert!(stranger.topics(MASTER).await.is_err());
    let signed = rocketmq.signed(Some(account));
    assert!(signed.topics(MASTER).await.is_ok() && signed.cluster_info(NS[0]).await.is_ok());
    assert!(signed.signed(None).topics(MASTER).await.is_err());
}

#[tokio::test]
async fn another_broker_at_the_address_is_not_confirmed() {
    let rocketmq = with("V5_5_0");
    rocketmq.broker(FakeBroker::master("orders-1").at(MASTER));
    let Err(error) = confirm(&rocketmq, MASTER, "orders-0", 0).await.map(|_| ()) else {
        panic!("confirmed")
    };
    let words = "198.18.0.3:10911 is orders-1 id 0, not orders-0 id 0";
    assert_eq!(error.to_string(), words);
}
