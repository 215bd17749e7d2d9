//! The operator is killed after every single thing that it writes down while brokers restart; they restart as if it were not.

use crate::harness::fixtures::name_service;
use crate::harness::gate::Gate;
use crate::harness::ledger::{Ledger, Options};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::rolling::{GAP, carried_out, lasting, other_resources, pods};

#[tokio::test]
async fn the_operator_killed_after_every_write_of_a_roll_restarts_each_broker_once_and_loses_nothing() {
    alone(async |stage| {
        operator::stop(&stage.cluster).await;
        let gate = Gate::build(stage.cluster.client.clone()).await;
        let space = stage.restricted_namespace().await;
        gate.open_for(u32::MAX).await;
        let undisturbed = gate.operator(&space.name);
        let brokers = lasting().size(2).replicas(1);
        let rocketmq = space.start(&name_service("name-service"), &brokers).await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        undisturbed.kill().await;

        let mut killed = 0;
        let killing = gate.kill_after_each_write(&space.name, &mut killed);
        let rolling = async {
            rocketmq.change(other_resources("11m")).await;
            carried_out(&rocketmq).await;
        };
        let story = async {
            tokio::select! {
                () = rolling => {}
                () = killing => {}
            }
        };
        let ((), replaced) = Box::pin(rocketmq.replaced_during(story)).await;
        println!("{replaced:?} with {killed} kills");
        assert!(killed > 10, "{killed} kills");
        let by_group = pods(&rocketmq, [(0, 1), (0, 0), (1, 1), (1, 0)]);
        assert_eq!(replaced.order, by_group);
        assert_eq!(replaced.most_away, 1);
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}
