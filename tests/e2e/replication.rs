//! SYNC means that a replica has the message. Proven with a replica that is connected and does not move.

use std::time::Duration;

use crate::harness::cluster::condition;
use crate::harness::fixtures::{Image, broker, name_service};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};
use crate::harness::wire::{Sent, send};

/// Longer than a broker waits for its replica (5 s, and 3 s on 5.x).
const PATIENCE: Duration = seconds(12);

async fn send_to_master(rocketmq: &Rocketmq, body: &str) -> Sent {
    send(
        &rocketmq.broker_address(0, 0).await,
        "replication",
        body,
        PATIENCE,
    )
    .await
}

/// With both replicas moving, a send is acknowledged; the first ones may come while the replica is still connecting.
async fn sends_are_acknowledged(rocketmq: &Rocketmq) {
    rocketmq
        .space
        .wait_for("a send is acknowledged", START, async || {
            match send_to_master(rocketmq, "before").await {
                Sent::Ok => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

async fn a_frozen_replica_holds_up_sync_and_not_async(image: Image) {
    scenario(5, async |stage| {
        let space = stage.namespace().await;
        let servers = name_service("name-service").image(image);
        let fast = space
            .begin(&servers, &broker("fast").replicas(1).image(image))
            .await;
        let safe = space
            .begin(&servers, &broker("safe").replicas(1).sync().image(image))
            .await;
        for (name, one) in [("fast", &fast), ("safe", &safe)] {
            space.wait_until_ready("Broker", name).await;
            sends_are_acknowledged(one).await;
        }

        let frozen = [fast.freeze(0, 1).await, safe.freeze(0, 1).await];
        assert_eq!(
            send_to_master(&fast, "frozen").await,
            Sent::Ok,
            "ASYNC does not wait for the replica"
        );
        let sent = send_to_master(&safe, "frozen").await;
        println!("{image:?}: SYNC with a frozen replica answers {sent:?}");
        let stored = matches!(sent, Sent::StoredOnly(_));
        assert!(
            stored,
            "not a broker that stored it and has no replica's word: {sent:?}"
        );

        drop(frozen);
        sends_are_acknowledged(&safe).await;
        assert_ne!(condition(safe.broker().await.as_ref(), "Degraded").status, "True");
    })
    .await;
}

#[tokio::test]
async fn on_4_5_0_a_sync_send_waits_for_the_replica_and_an_async_one_does_not() {
    a_frozen_replica_holds_up_sync_and_not_async(Image::Official("4.5.0")).await;
}

#[tokio::test]
async fn on_4_9_7_a_sync_send_waits_for_the_replica_and_an_async_one_does_not() {
    a_frozen_replica_holds_up_sync_and_not_async(Image::Official("4.9.7")).await;
}

#[tokio::test]
async fn on_5_5_0_a_sync_send_waits_for_the_replica_and_an_async_one_does_not() {
    a_frozen_replica_holds_up_sync_and_not_async(Image::Official("5.5.0")).await;
}
