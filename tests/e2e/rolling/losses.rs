//! Masters whose store goes with their pods: restarted when nobody misses anything.

use serde_json::json;

use super::{ROLL, carried_out, other_resources, pods, says};
use crate::harness::cluster::uid_of;
use crate::harness::fixtures::{broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::stage::scenario;
use crate::harness::wait::seconds;
use crate::harness::wire;

#[tokio::test]
async fn an_emptydir_master_waits_for_consumers_and_comes_back_with_its_topics() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker").size(2))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let mut first = Vec::new();
        for group in 0..2 {
            first.push(uid_of(&rocketmq.pod(group, 0).await).to_owned());
        }
        let frozen = ledger.freeze_consumers().await;
        ledger.sends(500).await;
        let story = async {
            rocketmq.change(other_resources("11m")).await;
            says(&rocketmq, "StoreWouldBeLost", seconds(120)).await;
            says(&rocketmq, "on topic ledger-", ROLL).await;
            assert_eq!(
                uid_of(&rocketmq.pod(0, 0).await),
                first[0],
                "restarted under a backlog"
            );
            frozen.thaw();
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 0), (1, 0)]));
        for group in 0..2 {
            let topics = wire::topics(&rocketmq.broker_address(group, 0).await)
                .await
                .unwrap();
            for topic in ledger.topics() {
                assert!(topics.contains_key(&topic), "group {group} has lost {topic}");
            }
        }
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(super::GAP);
    })
    .await;
}

#[tokio::test]
async fn an_emptydir_master_goes_at_once_when_its_user_accepts_the_loss() {
    scenario(3, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker"))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let pod = rocketmq.pod_name(0, 0);
        let story = async {
            rocketmq.change(other_resources("11m")).await;
            says(&rocketmq, "StoreWouldBeLost", seconds(120)).await;
            let accepts =
                json!({ "metadata": { "annotations": { "rocketmq.apache.org/accept-loss": &pod } } });
            space.merge("Broker", "broker", accepts).await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, [pod]);
        ledger.sending().await;
        let books = ledger.finish().await;
        println!("lost with its user's consent: {}", books.lost());
    })
    .await;
}
