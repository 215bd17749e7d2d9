//! The operator is killed again and again while a cluster grows and shrinks; nothing is lost for that.

use serde_json::json;

use crate::harness::fixtures::{Storage, broker, name_service};
use crate::harness::gate::Gate;
use crate::harness::ledger::{Ledger, Options};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::harness::wait::{START, seconds};

#[tokio::test]
async fn the_operator_killed_every_five_seconds_still_scales_without_a_loss() {
    alone(async |stage| {
        operator::stop(&stage.cluster).await;
        let gate = Gate::build(stage.cluster.client.clone()).await;
        let space = stage.restricted_namespace().await;
        gate.open_for(u32::MAX).await;
        let undisturbed = gate.operator(&space.name);
        let brokers = broker("broker").replicas(1).storage(&Storage::StorageClass);
        let rocketmq = space.start(&name_service("name-service"), &brokers).await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let before = rocketmq.broker_lives().await;
        undisturbed.kill().await;

        let mut killed = 0;
        let scaling = async {
            rocketmq.change_name_service(json!({ "size": 2 })).await;
            rocketmq.change(json!({ "size": 2 })).await;
            space
                .wait_for("all brokers are at all name servers", START, async || {
                    rocketmq.everything_is_listed().await
                })
                .await;
            rocketmq.wait_until_ready().await;
            ledger.sending().await;
            rocketmq.change(json!({ "size": 1, "replicaPerGroup": 0 })).await;
            space
                .wait_for("one broker is left", seconds(420), async || {
                    rocketmq.everything_is_listed().await
                })
                .await;
            rocketmq.wait_until_ready().await;
        };
        let killing = async {
            // The kills are the story: every five seconds, wherever the operator is.
            let mut every = tokio::time::interval(seconds(5));
            every.tick().await;
            loop {
                let operator = gate.operator(&space.name);
                every.tick().await;
                operator.kill().await;
                killed += 1;
            }
        };
        tokio::select! {
            () = scaling => {}
            () = killing => {}
        }
        println!("scaled with {killed} kills");
        let now = rocketmq.broker_lives().await;
        assert!(
            now.iter().all(|(pod, life)| before.get(pod) == Some(life)),
            "{now:?}"
        );
        let books = ledger.finish().await;
        books.nothing_is_lost();
        assert!(books.taken_by("broker-1") > 0, "{books:?}");
    })
    .await;
}
