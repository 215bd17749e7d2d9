//! Topics move to another cluster while messages flow.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::harness::cluster::{condition, conditions, run, text};
use crate::harness::fixtures::{Fixture, Image, NEWEST, broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds, stays};
use crate::harness::wire::{self, Made};

/// The topic of the ledger.
const TOPIC: &str = "ledger-0";
/// A transfer whose consumers keep up ends within this: two times 60 s without a message, and as many looks as it has steps.
const MOVES: Duration = seconds(420);

/// A transfer of a topic from cluster `orders` to cluster `stock`.
pub fn transfer(name: &str, topic: &str) -> Fixture {
    let mut object = broker(name).with("kind", json!("TopicTransfer"));
    object = object.with(
        "spec",
        json!({ "topic": topic, "sourceCluster": "orders", "targetCluster": "stock" }),
    );
    object
}

/// Two clusters in one namespace, each with its own name server.
pub async fn two_clusters(space: &Space, old: Image, new: Image) -> (Rocketmq, Rocketmq) {
    clusters(space, old, new, (1, 0)).await
}

/// As [`two_clusters`]; the first has so many groups and replicas, and as many name servers as groups.
async fn clusters(
    space: &Space,
    old: Image,
    new: Image,
    (size, replicas): (u32, u32),
) -> (Rocketmq, Rocketmq) {
    let names = name_service("names-of-orders").image(old).size(size);
    let brokers = broker("orders").image(old).at("names-of-orders");
    let orders = space.begin(&names, &brokers.size(size).replicas(replicas)).await;
    let names = name_service("names-of-stock").image(new);
    let brokers = broker("stock").image(new).at("names-of-stock");
    let stock = space.begin(&names, &brokers).await;
    orders.wait_until_ready().await;
    stock.wait_until_ready().await;
    (orders, stock)
}

/// What a master has of a topic and of some groups, in order; none where it lacks any.
async fn settings(rocketmq: &Rocketmq, topic: &str, groups: &[&str]) -> Vec<Option<Value>> {
    let master = rocketmq.broker_address(0, 0).await;
    let topics = wire::topics(&master).await.unwrap();
    let kept = wire::subscription_groups(&master).await.unwrap();
    let of_groups = groups.iter().map(|group| kept.get(*group).cloned());
    std::iter::once(topics.get(topic).cloned())
        .chain(of_groups)
        .collect()
}

/// Every field of the old one is in the new one as it was. What only a newer version knows does not count.
fn kept_in(old: &Value, new: &Value) {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_else(Map::new);
    let (old, new) = (fields(old), fields(new));
    assert!(!old.is_empty());
    for (name, value) in &old {
        // Before 4.9.0 it has another name.
        let same = new
            .get(name)
            .or_else(|| new.get("topicSysFlag").filter(|_| name == "topicSynFlag"));
        assert_eq!(same, Some(value), "{name} of {old:?} and {new:?}");
    }
}

async fn phase(space: &Space, name: &str) -> String {
    let transfer = space.get("TopicTransfer", name).await;
    text(&transfer.unwrap_or_default(), "/status/phase").to_owned()
}

/// Waits until a transfer is in a phase.
pub async fn comes_to(space: &Space, name: &str, wanted: &str, within: Duration) {
    space
        .wait_for(&format!("TopicTransfer {name} is {wanted}"), within, async || {
            let transfer = space.get("TopicTransfer", name).await;
            let now = phase(space, name).await;
            if now == wanted {
                Ok(())
            } else {
                Err(format!("{now}; {}", conditions(transfer.as_ref())))
            }
        })
        .await;
}

/// No broker and no name server of the cluster knows the topic.
pub async fn is_gone_from(rocketmq: &Rocketmq, topic: &str) {
    let servers = rocketmq.name_servers().await;
    assert!(!servers.is_empty());
    for server in servers {
        let route = wire::permissions(&server, topic).await.unwrap();
        assert!(route.is_empty(), "{server}: {route:?}");
    }
    for pod in rocketmq.broker_pods().await {
        let broker = format!("{}:10911", text(&pod, "/status/podIP"));
        if text(&pod, "/metadata/labels/rocketmq.apache.org~1role") == "master" {
            assert!(
                !wire::topics(&broker).await.unwrap().contains_key(topic),
                "{broker}"
            );
            continue;
        }
        // A replica takes its master's topics every 10 s.
        rocketmq
            .space
            .wait_for(
                &format!("replica {broker} forgets the topic"),
                seconds(60),
                async || {
                    let topics = wire::topics(&broker).await?;
                    if topics.contains_key(topic) {
                        Err("it has it".into())
                    } else {
                        Ok(())
                    }
                },
            )
            .await;
    }
}

async fn moves_under_a_ledger(old: Image, client: &'static str, (size, replicas): (u32, u32)) {
    scenario(4 + size * (2 + replicas), async |stage| {
        let space = stage.restricted_namespace().await;
        let (orders, stock) = clusters(&space, old, NEWEST, (size, replicas)).await;
        let billing = json!({
            "groupName": "billing", "consumeEnable": true, "consumeBroadcastEnable": false, "consumeFromMinEnable": true,
            "retryQueueNums": 2, "retryMaxTimes": 5, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1,
            "notifyConsumerIdsChangedEnable": true,
        });
        for group in 0..u64::from(size) {
            let master = orders.broker_address(group, 0).await;
            let topic = Made::topic(TOPIC, 12, 6);
            let topic = if old == NEWEST {
                topic.with("attributes", "+message.type=NORMAL").with("order", "true")
            } else {
                topic
            };
            wire::make(&master, &[topic, Made::subscription_group(&billing)])
                .await
                .unwrap();
        }
        let options = Options {
            topics: 1,
            queues: 12,
            then: Some("names-of-stock"),
            ..Options::default()
        };
        let ledger = Ledger::start(&orders, options.client(client)).await;
        let groups = ["audit", "billing"];
        let before = settings(&orders, TOPIC, &groups).await;

        let start = std::time::Instant::now();
        space.apply(&transfer("move", TOPIC)).await;
        space
            .wait_for_condition("TopicTransfer", "move", "Ready", "True", START)
            .await;
        let ready = start.elapsed();
        let copied = settings(&stock, TOPIC, &groups).await;
        ledger.switch("stock").await;
        let switched = start.elapsed();
        space
            .wait_for_condition("TopicTransfer", "move", "Complete", "True", MOVES)
            .await;
        println!("ready after {ready:.0?}, switched after {switched:.0?}, moved after {:.0?}", start.elapsed());
        for (old, new) in before.iter().zip(&copied) {
            kept_in(old.as_ref().expect("the source's"), new.as_ref().expect("the target's"));
        }
        is_gone_from(&orders, TOPIC).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        assert!(books.taken_by("stock-0") > 0 && books.taken_by("orders-0") > 0, "{books:?}");
    })
    .await;
}

#[tokio::test]
async fn a_topic_of_12_queues_moves_from_5_5_0_to_5_5_0_while_clients_switch() {
    moves_under_a_ledger(NEWEST, "5.5.0", (2, 1)).await;
}

#[tokio::test]
async fn a_topic_of_12_queues_moves_from_4_5_0_to_5_5_0_while_clients_switch() {
    moves_under_a_ledger(Image::Official("4.5.0"), "4.9.7", (1, 0)).await;
}

#[tokio::test]
async fn an_offline_group_with_backlog_lets_the_transfer_time_out_and_nothing_is_lost() {
    scenario(5, async |stage| {
        let space = stage.restricted_namespace().await;
        let (orders, _stock) = two_clusters(&space, NEWEST, NEWEST).await;
        let options = Options {
            topics: 1,
            ..Options::default()
        };
        let ledger = Ledger::start(&orders, options).await;
        ledger.abandon("gone").await;
        ledger.sends(200).await;

        let short = transfer("move", TOPIC).with("spec.timeoutSeconds", json!(240));
        space.apply(&short).await;
        comes_to(&space, "move", "Draining", seconds(230)).await;
        comes_to(&space, "move", "Undone", seconds(270)).await;
        let moved = space.get("TopicTransfer", "move").await.unwrap();
        let degraded = condition(Some(&moved), "Degraded");
        assert_eq!(
            (degraded.status.as_str(), degraded.reason.as_str()),
            ("True", "TimedOut"),
            "{}",
            conditions(Some(&moved))
        );
        let groups = moved["status"]["groups"].as_array().unwrap();
        let gone = groups.iter().find(|group| group["name"] == "gone");
        assert!(gone.is_some_and(|gone| gone["lag"].as_i64() > Some(0)), "{moved}");
        let lag = moved["status"]["lag"].as_i64().unwrap_or_default();
        assert!(lag > 0, "{moved}");
        println!("timed out with lag {lag}: {}", moved["status"]["groups"]);
        for server in orders.name_servers().await {
            let permissions = wire::permissions(&server, TOPIC).await.unwrap();
            assert_eq!(permissions.get("orders-0"), Some(&6));
        }
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_hangs_while_it_is_drained_is_waited_for_and_a_topic_without_groups_moves() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let (orders, stock) = two_clusters(&space, NEWEST, NEWEST).await;
        let master = orders.broker_address(0, 0).await;
        wire::put_topic(&master, "parcels", 12, 6).await.unwrap();
        space.apply(&transfer("move", "parcels")).await;
        comes_to(&space, "move", "Fencing", START).await;
        let frozen = orders.freeze(0, 0).await;
        space
            .wait_for("the transfer says who does not answer", START, async || {
                let moved = space.get("TopicTransfer", "move").await;
                let said = condition(moved.as_ref(), "Progressing").message;
                if said.contains("orders-0") && said.contains("answer") {
                    Ok(())
                } else {
                    Err(said)
                }
            })
            .await;
        // Longer than the fence has to stand still.
        stays("nothing is removed", seconds(70), async || {
            let now = phase(&space, "move").await;
            if ["Fencing", "Draining"].contains(&now.as_str()) {
                Ok(())
            } else {
                Err(now)
            }
        })
        .await;
        frozen.thaw();
        // As the docs tell users to.
        let wait = ["wait", "--for=condition=Complete", "topictransfer/move"];
        let wait = [&["-n", &space.name, "--timeout=420s"], &wait[..]].concat();
        run("kubectl", &wait, "", MOVES).await.done();
        let listed = space.kubectl(&["get", "topictransfers"]).await.done();
        println!("{listed}");
        for words in ["Succeeded", "parcels", "orders", "stock"] {
            assert!(listed.contains(words), "{words} is not in {listed}");
        }
        let reasons = ["get", "events", "-o", "jsonpath={.items[*].reason}"];
        let told = space.kubectl(&reasons).await.done();
        for phase in ["Copying", "Fencing", "Draining", "Removing", "Succeeded"] {
            assert!(told.contains(phase), "no event tells of {phase}: {told}");
        }
        is_gone_from(&orders, "parcels").await;
        assert!(settings(&stock, "parcels", &[]).await[0].is_some());
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_hangs_with_a_backlog_is_waited_for_though_the_others_are_drained() {
    scenario(8, async |stage| {
        let space = stage.restricted_namespace().await;
        let (orders, _stock) = clusters(&space, NEWEST, NEWEST, (2, 0)).await;
        let options = Options {
            topics: 1,
            then: Some("names-of-stock"),
            ..Options::default()
        };
        let ledger = Ledger::start(&orders, options).await;
        let consumers = ledger.freeze_consumers().await;
        ledger.sends(500).await;
        space.apply(&transfer("move", TOPIC)).await;
        space
            .wait_for_condition("TopicTransfer", "move", "Ready", "True", START)
            .await;
        ledger.switch("stock").await;
        comes_to(&space, "move", "Draining", START).await;
        let broker = orders.freeze(1, 0).await;
        consumers.thaw();
        space
            .wait_for("it is said who does not answer", START, async || {
                let moved = space.get("TopicTransfer", "move").await;
                let said = condition(moved.as_ref(), "Progressing").message;
                if said.contains("orders-1") && said.contains("cannot be asked") {
                    Ok(())
                } else {
                    Err(said)
                }
            })
            .await;
        stays("nothing is removed", seconds(70), async || {
            match phase(&space, "move").await.as_str() {
                "Fencing" | "Draining" => Ok(()),
                now => Err(now.to_owned()),
            }
        })
        .await;
        broker.thaw();
        space
            .wait_for_condition("TopicTransfer", "move", "Complete", "True", MOVES)
            .await;
        is_gone_from(&orders, TOPIC).await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_move_is_refused_with_the_field_and_the_remedy() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let (orders, stock) = two_clusters(&space, NEWEST, NEWEST).await;
        let old = orders.broker_address(0, 0).await;
        let new = stock.broker_address(0, 0).await;
        wire::put_topic(&old, "parcels", 12, 6).await.unwrap();
        wire::put_topic(&old, "letters", 4, 6).await.unwrap();
        wire::put_topic(&new, "letters", 8, 6).await.unwrap();
        let says = async |name: &str, reason: &str, words: &str| {
            let moved = space
                .wait_for_condition("TopicTransfer", name, "Degraded", "True", START)
                .await;
            let degraded = condition(Some(&moved), "Degraded");
            assert!(
                degraded.reason == reason && degraded.message.contains(words),
                "{}",
                conditions(Some(&moved))
            );
        };

        let nowhere = transfer("nowhere", "parcels").with("spec.targetCluster", json!("stok"));
        space.apply(&nowhere).await;
        says(
            "nowhere",
            "UnknownCluster",
            "spec.targetCluster: there is no Broker \"stok\"",
        )
        .await;
        space.delete("TopicTransfer", "nowhere").await;
        space
            .wait_until_gone("TopicTransfer", "nowhere", seconds(60))
            .await;

        space.apply(&transfer("differs", "letters")).await;
        says("differs", "TargetDiffers", "readQueueNums 8 instead of 4").await;
        assert_eq!(phase(&space, "differs").await, "Failed");
        assert_eq!(wire::topics(&old).await.unwrap()["letters"]["perm"], 6);

        for (what, value) in [("targetCluster", json!("orders")), ("topic", json!("TBW102"))] {
            let bad = transfer("bad", "parcels").with(&format!("spec.{what}"), value);
            let why = space.try_apply(&bad).await.unwrap_err();
            assert!(why.contains(&format!("spec.{what} must")), "{why}");
        }

        space.apply(&transfer("first", "parcels")).await;
        comes_to(&space, "first", "Fencing", START).await;
        space.apply(&transfer("second", "parcels")).await;
        says(
            "second",
            "AnotherTransfer",
            "/first moves topic \"parcels\" already",
        )
        .await;
        let other = json!({ "spec": { "timeoutSeconds": 5 } });
        let said = space
            .kubectl(&[
                "patch",
                "topictransfer",
                "first",
                "--type=merge",
                "-p",
                &other.to_string(),
            ])
            .await;
        assert!(
            !said.ok && said.all().contains("cannot be changed"),
            "{}",
            said.all()
        );

        // Deleted midway, it is undone.
        space.delete("TopicTransfer", "first").await;
        space.wait_until_gone("TopicTransfer", "first", seconds(60)).await;
        let topic = wire::topics(&old).await.unwrap()["parcels"].clone();
        assert_eq!(topic["perm"], 6);
        assert_eq!(
            (&topic["readQueueNums"], &topic["writeQueueNums"]),
            (&json!(12), &json!(12))
        );
    })
    .await;
}
