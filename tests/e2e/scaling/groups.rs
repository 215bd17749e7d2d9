//! New groups of brokers: they get what the others have before they take traffic.

use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::{Image, broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::mqadmin::Mqadmin;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};
use crate::harness::wire;

/// A name that is a command, a quotation and an escape where it is not data. Brokers of 4.5.0 take any name from an
/// administrator; those of later ones refuse it.
const ODD: &str = r#"made-$(reboot)`reboot`"';\${HOME}"#;

/// The longest name of a topic that every version takes.
fn longest() -> String {
    format!("made-{}", "x".repeat(122))
}

/// What users made on the first master before the cluster grows; no two are alike.
async fn make_topics_and_groups(rocketmq: &Rocketmq, odd: &[&str]) {
    let master = rocketmq.broker_address(0, 0).await;
    for topic in odd.iter().copied().chain([longest().as_str()]) {
        wire::put_topic(&master, topic, 3, 6).await.unwrap();
    }
    for n in 0..40 {
        let permission = if n % 5 == 0 { 4 } else { 6 };
        wire::put_topic(&master, &format!("made-{n}"), 1 + n % 7, permission)
            .await
            .unwrap();
    }
    // `billing` is a group of the ledger: its consumers reach the new masters as soon as those have its topics.
    let numbered = (0..10).map(|n| format!("made-{n}"));
    let names = numbered.chain(["billing"].iter().chain(odd).map(|&name| name.to_owned()));
    for (n, name) in names.enumerate() {
        let group = json!({
            "groupName": name, "consumeEnable": true, "consumeBroadcastEnable": n % 2 == 0, "consumeFromMinEnable": true,
            "retryQueueNums": 1 + n % 3, "retryMaxTimes": 3 + n, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1,
            "notifyConsumerIdsChangedEnable": true,
        });
        wire::put_subscription_group(&master, &group).await.unwrap();
    }
}

/// What users made, of a table of a broker: the test by hand, and the clients of the ledger.
fn made(mut table: Map<String, Value>) -> Map<String, Value> {
    let clients = ["ledger-0", "ledger-1", "ledger-2", "audit", "billing"];
    table.retain(|name, _| name.starts_with("made-") || clients.contains(&name.as_str()));
    table
}

/// Waits until producers may send to a group, and finds that it has everything that the first one has, field by field.
async fn takes_traffic_with_everything(rocketmq: &Rocketmq, ledger: &Ledger, group: u64, odd: usize) {
    let servers = rocketmq.name_servers().await;
    let name = rocketmq.group_name(group);
    let topics = ledger.topics();
    rocketmq
        .space
        .wait_for(&format!("{name} takes traffic"), START, async || {
            for topic in &topics {
                let permissions = wire::permissions(&servers[0], topic).await?;
                match permissions.get(&name) {
                    Some(permission) if permission & 2 == 2 => return Ok(()),
                    _ => {}
                }
            }
            Err("no topic can be written to there".into())
        })
        .await;
    let (old, new) = (
        rocketmq.broker_address(0, 0).await,
        rocketmq.broker_address(group, 0).await,
    );
    let tables = async |address: &str| {
        let topics = made(wire::topics(address).await.unwrap());
        (topics, made(wire::subscription_groups(address).await.unwrap()))
    };
    let ((topics, groups), expected) = (tables(&new).await, tables(&old).await);
    assert_eq!(expected.0.len(), 44 + odd, "{:?}", expected.0.keys());
    assert_eq!(expected.1.len(), 12 + odd, "{:?}", expected.1.keys());
    assert_eq!(topics, expected.0, "{name} took traffic with other topics");
    assert_eq!(groups, expected.1, "{name} took traffic with other groups");
    let consumed = wire::consumed(&new).await.unwrap();
    assert!(
        consumed.contains(&format!("{}@deserted", ledger.topics()[0])),
        "who is away would begin at the end: {consumed:?}"
    );
    // Made by a consumer, perhaps before its group had these settings.
    let retries = wire::topics(&new).await.unwrap();
    if let Some(retries) = retries.get("%RETRY%billing") {
        let sent_to = groups["billing"]["retryQueueNums"].as_u64();
        assert!(retries["readQueueNums"].as_u64() >= sent_to, "{retries}");
    }
}

async fn groups_1_to_3(image: Image, options: Options, odd: &[&str]) {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(
                &name_service("name-service").image(image),
                &broker("broker").image(image),
            )
            .await;
        make_topics_and_groups(&rocketmq, odd).await;
        let ledger = Ledger::start(&rocketmq, options).await;
        ledger.abandon("deserted").await;
        let before = rocketmq.broker_lives().await;

        rocketmq.change(json!({ "size": 3 })).await;
        join_all([1, 2].map(|group| takes_traffic_with_everything(&rocketmq, &ledger, group, odd.len())))
            .await;
        rocketmq.wait_until_ready().await;
        let mqadmin = Mqadmin::start(&space, options.client).await;
        let exported = async |group: u64| {
            let broker = rocketmq.broker_address(group, 0).await;
            mqadmin.exported(&broker).await.map(made)
        };
        let (first, second, third) = (exported(0).await, exported(1).await, exported(2).await);
        assert_eq!(
            first.clone().map(|table| table.len()),
            [44 + odd.len(), 12 + odd.len()]
        );
        assert_eq!(second, first, "as mqadmin reads it");
        assert_eq!(third, first, "as mqadmin reads it");
        ledger.sending().await;
        rocketmq.no_broker_was_restarted(&before).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        assert!(books.taken_by("broker-2") > 0, "{books:?}");
    })
    .await;
}

#[tokio::test]
async fn on_4_5_0_new_groups_have_everything_before_they_take_traffic() {
    groups_1_to_3(
        Image::Official("4.5.0"),
        Options::default().client("4.9.7"),
        &[ODD],
    )
    .await;
}

#[tokio::test]
async fn on_4_9_7_new_groups_have_everything_before_they_take_traffic() {
    groups_1_to_3(Image::Official("4.9.7"), Options::default().client("4.9.7"), &[]).await;
}

#[tokio::test]
async fn on_5_5_0_new_groups_have_everything_before_they_take_traffic() {
    groups_1_to_3(Image::Official("5.5.0"), Options::default(), &[]).await;
}

#[tokio::test]
async fn a_new_group_takes_no_traffic_as_long_as_the_source_cannot_be_read() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker").size(2))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let before = rocketmq.broker_lives().await;

        let frozen = rocketmq.freeze(0, 0).await;
        rocketmq.change(json!({ "size": 3 })).await;
        let source = rocketmq.pod_name(0, 0);
        space
            .wait_for("the condition says what is in the way", START, async || {
                let broker = rocketmq.broker().await;
                let degraded = condition(broker.as_ref(), "Degraded");
                let says = degraded.message.contains(&format!("{source} cannot be read"));
                if degraded.status == "True" && says {
                    Ok(())
                } else {
                    Err(conditions(broker.as_ref()))
                }
            })
            .await;
        ledger.sends(500).await;
        let servers = rocketmq.name_servers().await;
        for topic in ledger.topics() {
            let permissions = wire::permissions(&servers[0], &topic).await.unwrap();
            assert_eq!(permissions.get("broker-2"), None, "{topic}");
        }

        frozen.thaw();
        rocketmq.wait_until_ready().await;
        space
            .wait_for("nothing is wrong any more", seconds(60), async || {
                let broker = rocketmq.broker().await;
                match condition(broker.as_ref(), "Degraded").status.as_str() {
                    "False" => Ok(()),
                    _ => Err(conditions(broker.as_ref())),
                }
            })
            .await;
        ledger.sending().await;
        rocketmq.no_broker_was_restarted(&before).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        assert!(books.taken_by("broker-2") > 0, "{books:?}");
    })
    .await;
}
