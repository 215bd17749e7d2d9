//! `Ready` is what RocketMQ says, not what pods say.

use futures::{StreamExt as _, pin_mut};
use kube::runtime::{WatchStreamExt as _, watcher};

use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::{broker, name_service};
use crate::harness::node;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds, stays};
use crate::harness::wire;

/// Watches the Broker until it is Ready for the first time and fails if RocketMQ does not agree at that moment.
async fn the_first_ready_is_true(rocketmq: &Rocketmq) {
    let api = rocketmq.space.cluster.api("Broker", &rocketmq.space.name);
    let changes = watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    pin_mut!(changes);
    while let Some(change) = changes.next().await {
        // The watch comes back by itself after an error.
        let Ok(change) = change else { continue };
        let change = serde_json::to_value(change).unwrap();
        if condition(Some(&change), "Ready").status == "True" {
            let truth = rocketmq.everything_is_listed().await;
            truth.unwrap_or_else(|why| panic!("Ready too early: {why}"));
            return;
        }
    }
}

#[tokio::test]
async fn ready_waits_until_every_name_server_lists_every_broker() {
    scenario(4, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .begin(
                &name_service("name-service").size(2),
                &broker("broker").replicas(1),
            )
            .await;
        let story = async {
            // The replica's JVM is stopped as soon as it is there, long before it can register.
            let replica = space
                .wait_for("the replica's JVM starts", START, async || {
                    let pod = space.get("Pod", &rocketmq.pod_name(0, 1)).await.ok_or("no pod")?;
                    node::jvm(&pod)
                })
                .await;
            let frozen = node::Frozen::freeze(replica);
            space
                .wait_for("every name server lists the master", START, async || {
                    let servers = rocketmq.name_servers().await;
                    let mut listing = 0;
                    for server in &servers {
                        listing += usize::from(wire::listed_by(server).await?.iter().any(|l| l.id == 0));
                    }
                    if listing == 2 {
                        Ok(())
                    } else {
                        Err(format!("{listing} of 2 do"))
                    }
                })
                .await;
            stays("Ready is not true without the replica", seconds(20), async || {
                let broker = rocketmq.broker().await;
                let ready = condition(broker.as_ref(), "Ready");
                if ready.status == "True" {
                    Err(conditions(broker.as_ref()))
                } else {
                    Ok(())
                }
            })
            .await;
            frozen.thaw();
            rocketmq.wait_until_ready().await;
        };
        tokio::join!(story, the_first_ready_is_true(&rocketmq));
    })
    .await;
}

#[tokio::test]
async fn ready_turns_false_when_one_name_server_no_longer_lists_a_broker() {
    scenario(4, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .start(
                &name_service("name-service").size(2),
                &broker("broker").replicas(1),
            )
            .await;
        let replica = rocketmq.listed(0, 1).await.expect("the replica is listed");
        // Frozen, it cannot register again.
        let frozen = rocketmq.freeze(0, 1).await;
        wire::unregister(&rocketmq.name_servers().await[1], &replica)
            .await
            .unwrap();
        let broker = space
            .wait_for_condition("Broker", "broker", "Ready", "False", seconds(40))
            .await;
        let message = condition(Some(&broker), "Ready").message;
        assert!(
            message.contains("broker-0"),
            "Ready does not say who is missing: {message}"
        );
        frozen.thaw();
        rocketmq.wait_until_ready().await;
    })
    .await;
}

#[tokio::test]
async fn ready_turns_false_while_a_broker_pod_is_away() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker").replicas(1))
            .await;
        space.delete("Pod", &rocketmq.pod_name(0, 1)).await;
        space
            .wait_for_condition("Broker", "broker", "Ready", "False", seconds(40))
            .await;
        rocketmq.wait_until_ready().await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_name_server_is_not_serving() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .start(&name_service("name-service").size(2), &broker("broker"))
            .await;
        let frozen = node::Frozen::freeze(node::jvm(&space.pod("name-service-1").await).unwrap());
        for (kind, name) in [("NameService", "name-service"), ("Broker", "broker")] {
            space
                .wait_for(
                    &format!("{kind} {name} is not Ready and says who is silent"),
                    seconds(60),
                    async || {
                        let ready = condition(space.get(kind, name).await.as_ref(), "Ready");
                        let told = ready.status == "False" && ready.message.contains("name-service-1");
                        if told { Ok(()) } else { Err(format!("{ready:?}")) }
                    },
                )
                .await;
        }
        frozen.thaw();
        rocketmq.wait_until_ready().await;
    })
    .await;
}
