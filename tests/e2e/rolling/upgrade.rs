//! Another version of RocketMQ on the same data.

use serde_json::json;

use super::{lasting, pods, roll};
use crate::harness::fixtures::{Image, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::stage::scenario;
use crate::harness::wire;

#[tokio::test]
async fn from_4_9_7_to_5_5_0_consumers_go_on_where_they_were() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let old = Image::Official("4.9.7");
        let rocketmq = space
            .start(
                &name_service("name-service").image(old),
                &lasting().size(2).replicas(1).image(old),
            )
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default().client("4.9.7")).await;
        let change = json!({ "brokerImage": "apache/rocketmq:5.5.0" });
        let replaced = roll(&rocketmq, change).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 1), (0, 0), (1, 1), (1, 0)]));
        assert_eq!(replaced.most_away, 1);
        for group in 0..2 {
            let runtime = wire::runtime(&rocketmq.broker_address(group, 0).await)
                .await
                .unwrap();
            assert_eq!(runtime["brokerVersionDesc"], "V5_5_0");
        }
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.nothing_came_again();
    })
    .await;
}

#[tokio::test]
async fn from_5_5_0_back_to_4_9_7_consumers_go_on_where_they_were() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().size(2))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default().client("4.9.7")).await;
        let change = json!({ "brokerImage": "apache/rocketmq:4.9.7" });
        let replaced = roll(&rocketmq, change).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 0), (1, 0)]));
        for group in 0..2 {
            let runtime = wire::runtime(&rocketmq.broker_address(group, 0).await)
                .await
                .unwrap();
            assert_eq!(runtime["brokerVersionDesc"], "V4_9_7");
        }
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.nothing_came_again();
    })
    .await;
}
