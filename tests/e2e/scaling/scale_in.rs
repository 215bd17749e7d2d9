//! Groups leave: nobody who still wants a message of theirs misses it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster::{condition, conditions, name_of, text};
use crate::harness::fixtures::{Fixture, Image, Storage, broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::pop;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::seconds;
use crate::harness::wire::{self, Sent};

/// A group leaves within this: routes of clients (30 s) and the fence (60 s) are waited for, and JVMs stop.
const LEAVING: Duration = seconds(420);

fn three_groups() -> Fixture {
    broker("broker").size(3).storage(&Storage::StorageClass)
}

/// `status.scaleIn` of the Broker.
async fn leaving(rocketmq: &Rocketmq) -> Value {
    let broker = rocketmq.broker().await.expect("the Broker");
    broker.pointer("/status/scaleIn").cloned().unwrap_or_default()
}

/// The numbers of the groups that have a master's StatefulSet.
async fn groups(rocketmq: &Rocketmq) -> Vec<u64> {
    let sets = rocketmq
        .space
        .cluster
        .list("StatefulSet", &rocketmq.space.name, "")
        .await;
    let names = sets
        .iter()
        .filter(|set| set.pointer("/metadata/deletionTimestamp").is_none())
        .filter_map(|set| name_of(set).strip_prefix("broker-")?.strip_suffix("-master"));
    names.map(|n| n.parse().unwrap()).collect()
}

/// Waits until a group is drained, with somebody left to wait for who is named by these words.
async fn waits_for(rocketmq: &Rocketmq, group: u64, words: &str) {
    rocketmq
        .space
        .wait_for(&format!("group {group} waits for {words}"), LEAVING, async || {
            let leaving = leaving(rocketmq).await;
            let blockers = leaving["blockers"].as_array().cloned().unwrap_or_default();
            let named = blockers
                .iter()
                .any(|b| b.as_str().is_some_and(|b| b.contains(words)));
            if leaving["group"] == group && leaving["phase"] == "Draining" && named {
                Ok(())
            } else {
                Err(leaving.to_string())
            }
        })
        .await;
}

/// Waits until these groups are left and everything is well.
async fn are_left(rocketmq: &Rocketmq, left: &[u64]) {
    rocketmq
        .space
        .wait_for(&format!("the groups {left:?} are left"), LEAVING, async || {
            let now = groups(rocketmq).await;
            if now == left {
                rocketmq.everything_is_listed().await
            } else {
                let broker = rocketmq.broker().await;
                Err(format!("{now:?}; {}", conditions(broker.as_ref())))
            }
        })
        .await;
    rocketmq.wait_until_ready().await;
}

#[tokio::test]
async fn groups_3_to_1_leave_one_after_the_other_when_everything_is_consumed() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space.start(&name_service("name-service"), &three_groups()).await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let mut first = rocketmq.broker_lives().await;
        first.retain(|pod, _| *pod == rocketmq.pod_name(0, 0));

        let frozen = ledger.freeze_consumers().await;
        ledger.sends(500).await;
        rocketmq.change(json!({ "size": 1 })).await;
        waits_for(&rocketmq, 2, "billing").await;
        assert_eq!(groups(&rocketmq).await, [0, 1, 2], "deleted under a backlog");
        assert_eq!(rocketmq.broker_pods().await.len(), 3);
        ledger.sending_to_groups([0]).await;

        frozen.thaw();
        rocketmq
            .space
            .wait_for("the highest group left first", LEAVING, async || {
                match groups(&rocketmq).await.as_slice() {
                    [0, 1] => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        are_left(&rocketmq, &[0]).await;
        for group in 0..3 {
            let claim = format!("broker-storage-broker-{group}-master-0");
            let claim = space.get("PersistentVolumeClaim", &claim).await.expect(&claim);
            assert_eq!(text(&claim, "/metadata/deletionTimestamp"), "", "the volume goes");
        }
        ledger.sending().await;
        rocketmq.no_broker_was_restarted(&first).await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn groups_3_to_1_and_back_to_3_halfway_restart_nothing() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space.start(&name_service("name-service"), &three_groups()).await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let before = rocketmq.broker_lives().await;

        let frozen = ledger.freeze_consumers().await;
        ledger.sends(500).await;
        rocketmq.change(json!({ "size": 1 })).await;
        waits_for(&rocketmq, 2, "billing").await;
        rocketmq.change(json!({ "size": 3 })).await;
        rocketmq.wait_until_ready().await;
        let servers = rocketmq.name_servers().await;
        for topic in ledger.topics() {
            let permissions = wire::permissions(&servers[0], &topic).await.unwrap();
            assert!(
                permissions.len() == 3 && permissions.values().all(|p| *p == 6),
                "{permissions:?}"
            );
        }
        ledger.sending().await;
        frozen.thaw();
        rocketmq.no_broker_was_restarted(&before).await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_consumer_group_holds_a_group_until_it_is_to_be_ignored() {
    scenario(5, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &three_groups().size(2))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        ledger.abandon("deserted").await;
        ledger.sends(500).await;

        rocketmq.change(json!({ "size": 1 })).await;
        waits_for(&rocketmq, 1, "deserted").await;
        let broker = rocketmq.broker().await;
        let said = condition(broker.as_ref(), "Progressing").message;
        assert!(said.contains("deserted"), "{}", conditions(broker.as_ref()));
        let blockers = leaving(&rocketmq).await["blockers"].to_string();
        let aged = blockers.split("group deserted on topic ledger-0: ").nth(1);
        let aged = aged.and_then(|rest| rest.split('"').next()).unwrap_or_default();
        // It may have consumed on the other master only.
        let (_, age) = aged.split_once(" messages, last commit ").expect(&blockers);
        assert!(age == "never" || age.ends_with(" min ago"), "{blockers}");
        assert_eq!(groups(&rocketmq).await, [0, 1]);

        rocketmq
            .change(json!({ "scaleIn": { "ignoreConsumerGroups": ["deserted"] } }))
            .await;
        are_left(&rocketmq, &[0]).await;
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn on_4_9_7_a_group_stays_until_a_delayed_message_is_delivered() {
    scenario(5, async |stage| {
        let space = stage.restricted_namespace().await;
        let old = Image::Official("4.9.7");
        let rocketmq = space
            .start(
                &name_service("name-service").image(old),
                &three_groups().size(2).image(old),
            )
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default().client("4.9.7")).await;
        // Three minutes: longer than a group takes to leave of which nobody wants anything.
        let master = rocketmq.broker_address(1, 0).await;
        assert_eq!(
            wire::send_delayed(&master, "late", "wait for me", 7).await,
            Sent::Ok
        );

        rocketmq.change(json!({ "size": 1 })).await;
        waits_for(&rocketmq, 1, "1 message delayed").await;
        rocketmq
            .space
            .wait_for(
                "the message is delivered before its broker leaves",
                LEAVING,
                async || {
                    let runtime = wire::runtime(&master).await.expect("the broker left before that");
                    match runtime.get("scheduleMessageOffset_7").and_then(Value::as_str) {
                        Some("1,1") => Ok(()),
                        other => Err(format!("delivered and written: {other:?}")),
                    }
                },
            )
            .await;
        are_left(&rocketmq, &[0]).await;
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

/// Waits until a client that was started beside the ledger said that.
async fn says(ledger: &Ledger, rocketmq: &Rocketmq, name: &str, field: &str, value: Value) {
    rocketmq
        .space
        .wait_for(&format!("{name} says {field} {value}"), LEAVING, async || {
            let said = ledger.said_beside(name).await?;
            if said[field] == value {
                Ok(())
            } else {
                Err(said.to_string())
            }
        })
        .await;
}

#[tokio::test]
async fn on_5_5_0_a_group_stays_for_timers_open_transactions_and_what_was_popped() {
    scenario(5, async |stage| {
        /// Longer than a group takes to leave of which nobody wants anything.
        const LATE: u32 = 240;
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &three_groups().size(2))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        // Topics that only the leaving group has, so that clients find no other place.
        let master = rocketmq.broker_address(1, 0).await;
        for topic in ["held", "popped"] {
            wire::put_topic(&master, topic, 1, 6).await.unwrap();
        }
        let poppers = json!({ "groupName": "poppers", "consumeEnable": true, "retryQueueNums": 1, "retryMaxTimes": 16 });
        wire::put_subscription_group(&master, &poppers).await.unwrap();
        let receive = "receive --topic held --group patient --bodies held- --expect 2 --timeout-s 1800";
        ledger.start_beside("patient", receive).await;
        let transaction = format!("transaction --topic held --body held-undecided --undecided-s {LATE} --timeout-s 1800");
        ledger.start_beside("transaction", &transaction).await;
        says(&ledger, &rocketmq, "transaction", "status", json!("SEND_OK")).await;
        assert_eq!(wire::send_timed(&master, "held", "held-timed", LATE).await, Sent::Ok);
        assert_eq!(wire::send(&master, "popped", "once more", seconds(5)).await, Sent::Ok);
        let name = rocketmq.group_name(1);
        let pop = async |hidden| pop::pop(&master, &name, "popped", "poppers", hidden).await;
        rocketmq
            .space
            .wait_for("it is popped, and never acknowledged", LEAVING, async || {
                pop(seconds(LATE.into())).await.map(drop)
            })
            .await;

        rocketmq.change(json!({ "size": 1 })).await;
        waits_for(&rocketmq, 1, "delayed").await;
        waits_for(&rocketmq, 1, "RMQ_SYS_TRANS_HALF_TOPIC: 1 message").await;
        assert_eq!(ledger.said_beside("transaction").await.unwrap()["event"], "undecided");
        waits_for(&rocketmq, 1, "group poppers on topic %RETRY%poppers_popped: 1 message").await;
        says(&ledger, &rocketmq, "transaction", "committed", json!(true)).await;
        says(&ledger, &rocketmq, "patient", "complete", json!(true)).await;
        assert_eq!(groups(&rocketmq).await, [0, 1], "nobody has had what was popped");
        rocketmq
            .space
            .wait_for("it is popped again and acknowledged", LEAVING, async || {
                let again = pop(seconds(30)).await?;
                pop::acknowledge(&master, "poppers", &again).await
            })
            .await;
        are_left(&rocketmq, &[0]).await;
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}
