//! Replicas come and go; their masters do not notice.

use serde_json::json;

use crate::harness::fixtures::{Fixture, broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::stage::scenario;

async fn replicas_1_to_2_to_0_leave_the_master_alone(broker: Fixture) {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker.replicas(1))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let all = rocketmq.broker_lives().await;
        let mut master = all.clone();
        master.retain(|pod, _| *pod == rocketmq.pod_name(0, 0));

        rocketmq.change(json!({ "replicaPerGroup": 2 })).await;
        rocketmq.wait_until_ready().await;
        rocketmq.no_broker_was_restarted(&all).await;
        ledger.sends(1_000).await;

        rocketmq.change(json!({ "replicaPerGroup": 0 })).await;
        rocketmq.wait_until_ready().await;
        let left = rocketmq.broker_pods().await.len();
        ledger.sends(1_000).await;
        assert_eq!(rocketmq.broker_lives().await, master);
        ledger.finish().await.nothing_is_lost();
        assert_eq!(
            left, 1,
            "the Broker was Ready while pods of replicas were still there"
        );
    })
    .await;
}

#[tokio::test]
async fn replicas_1_to_2_to_0_leave_an_async_master_alone() {
    replicas_1_to_2_to_0_leave_the_master_alone(broker("broker")).await;
}

#[tokio::test]
async fn replicas_1_to_2_to_0_leave_a_sync_master_alone_and_serving() {
    replicas_1_to_2_to_0_leave_the_master_alone(broker("broker").sync()).await;
}
