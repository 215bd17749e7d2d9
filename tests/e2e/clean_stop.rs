//! A pod that is deleted stops RocketMQ cleanly: unregistered at once, no `abort` left behind.

use std::time::Instant;

use crate::harness::cluster::{condition, name_of};
use crate::harness::fixtures::{Image, Storage, broker, name_service};
use crate::harness::node;
use crate::harness::stage::scenario;
use crate::harness::wait::seconds;
use crate::harness::wire;

async fn it_stops_cleanly(image: Image) {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let servers = name_service("name-service").image(image);
        let brokers = broker("broker")
            .replicas(1)
            .image(image)
            .storage(&Storage::StorageClass);
        let rocketmq = space.start(&servers, &brokers).await;
        let claims = [
            "broker-storage-broker-0-master-0",
            "broker-storage-broker-0-replica-1-0",
        ];
        let mut volumes = Vec::new();
        for claim in claims {
            let volume = node::volume(&space.cluster, &space.name, claim).await;
            assert_eq!(
                node::files_named(&volume, "abort").len(),
                1,
                "a running broker keeps its abort file in {claim}"
            );
            volumes.push(volume);
        }
        let server = rocketmq.name_servers().await[0].clone();
        let pods = rocketmq.broker_pods().await;
        assert!(
            pods.iter()
                .all(|pod| condition(Some(pod), "Ready").status == "True")
        );

        let start = Instant::now();
        space.delete("Broker", "broker").await;
        space
            .wait_for("the brokers unregister", seconds(60), async || {
                let listed = wire::listed_by(&server).await?;
                if listed.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{listed:?}"))
                }
            })
            .await;
        let unregistered = start.elapsed();
        space
            .wait_for("the brokers' pods are gone", seconds(60), async || {
                let left = rocketmq.broker_pods().await;
                if left.is_empty() {
                    Ok(())
                } else {
                    Err(left.iter().map(name_of).collect::<Vec<_>>().join(", "))
                }
            })
            .await;
        println!(
            "{image:?}: unregistered after {unregistered:.1?}, gone after {:.1?}",
            start.elapsed()
        );
        for (claim, volume) in claims.iter().zip(&volumes) {
            assert!(
                space.get("PersistentVolumeClaim", claim).await.is_some(),
                "{claim} is kept by default"
            );
            let left = node::files_named(volume, "abort");
            assert!(left.is_empty(), "the stop was not clean: {left:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_4_5_0_broker_stops_cleanly() {
    it_stops_cleanly(Image::Official("4.5.0")).await;
}

#[tokio::test]
async fn a_4_9_7_broker_stops_cleanly() {
    it_stops_cleanly(Image::Official("4.9.7")).await;
}

#[tokio::test]
async fn a_5_5_0_broker_stops_cleanly() {
    it_stops_cleanly(Image::Official("5.5.0")).await;
}

#[tokio::test]
async fn a_4_5_0_broker_of_the_go_operators_image_stops_cleanly() {
    it_stops_cleanly(Image::GoOperator("4.5.0")).await;
}

#[tokio::test]
async fn a_5_5_0_broker_of_the_go_operators_image_stops_cleanly() {
    it_stops_cleanly(Image::GoOperator("5.5.0")).await;
}
