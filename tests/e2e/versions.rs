//! Every RocketMQ that is promised, in every layout of image that is promised.

use crate::harness::fixtures::{Image, broker, name_service};
use crate::harness::rocketmq::Row;
use crate::harness::stage::scenario;

/// A cluster with a replica comes up, RocketMQ itself shows master and slave, and every message sent is received.
async fn it_runs(image: Image, version: &str) {
    scenario(3, async |stage| {
        let space = match image {
            Image::Official(_) => stage.restricted_namespace().await,
            Image::GoOperator(_) => stage.namespace().await,
        };
        let servers = name_service("name-service").image(image);
        let rocketmq = space
            .start(&servers, &broker("broker").replicas(1).image(image))
            .await;
        let member = |id| Row {
            cluster: "broker".into(),
            broker: "broker-0".into(),
            id,
            version: version.into(),
        };
        assert_eq!(rocketmq.cluster_list().await, [member(0), member(1)]);
        rocketmq.messages_flow().await;
    })
    .await;
}

#[tokio::test]
async fn rocketmq_4_5_0_runs_under_restricted_pod_security() {
    it_runs(Image::Official("4.5.0"), "V4_5_0").await;
}

#[tokio::test]
async fn rocketmq_4_9_7_runs_under_restricted_pod_security() {
    it_runs(Image::Official("4.9.7"), "V4_9_7").await;
}

#[tokio::test]
async fn rocketmq_5_5_0_runs_under_restricted_pod_security() {
    it_runs(Image::Official("5.5.0"), "V5_5_0").await;
}

#[tokio::test]
async fn the_go_operators_images_of_4_5_0_run() {
    it_runs(Image::GoOperator("4.5.0"), "V4_5_0").await;
}

#[tokio::test]
async fn the_go_operators_images_of_4_9_7_run() {
    it_runs(Image::GoOperator("4.9.7"), "V4_9_7").await;
}

#[tokio::test]
async fn the_go_operators_images_of_5_5_0_run() {
    it_runs(Image::GoOperator("5.5.0"), "V5_5_0").await;
}
