//! The operator is killed after every single thing that it writes down while a topic moves; the topic moves all the same.

use crate::harness::fixtures::NEWEST;
use crate::harness::gate::Gate;
use crate::harness::ledger::{Ledger, Options};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::harness::wait::seconds;
use crate::transfer::{is_gone_from, transfer, two_clusters};

#[tokio::test]
async fn the_operator_killed_after_every_write_of_a_transfer_still_moves_the_topic_without_a_loss() {
    alone(async |stage| {
        operator::stop(&stage.cluster).await;
        let gate = Gate::build(stage.cluster.client.clone()).await;
        let space = stage.restricted_namespace().await;
        gate.open_for(u32::MAX).await;
        let undisturbed = gate.operator(&space.name);
        let (orders, _stock) = two_clusters(&space, NEWEST, NEWEST).await;
        let options = Options {
            topics: 1,
            queues: 12,
            then: Some("names-of-stock"),
            ..Options::default()
        };
        let ledger = Ledger::start(&orders, options).await;
        undisturbed.kill().await;
        space.apply(&transfer("move", "ledger-0")).await;

        let mut killed = 0;
        let killing = gate.kill_after_each_write(&space.name, &mut killed);
        let moving = async {
            space
                .wait_for_condition("TopicTransfer", "move", "Ready", "True", seconds(300))
                .await;
            ledger.switch("stock").await;
            space
                .wait_for_condition("TopicTransfer", "move", "Complete", "True", seconds(420))
                .await;
        };
        tokio::select! {
            () = moving => {}
            () = killing => {}
        }
        println!("moved with {killed} kills");
        assert!(killed > 10, "{killed} kills");
        is_gone_from(&orders, "ledger-0").await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}
