//! What the ledger itself can tell: complete where nothing happens, and that messages are missing where they are.

use crate::harness::fixtures::{broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};

async fn the_ledger_of_a_cluster_that_nobody_touches_is_complete(options: Options) {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker").size(2))
            .await;
        let before = rocketmq.broker_lives().await;
        let ledger = Ledger::start(&rocketmq, options).await;
        // The first messages come while JVMs are cold.
        ledger.sends(1_000).await;
        let took = ledger.sends(5_000).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        assert!(
            took <= seconds(25),
            "less than 200 messages a second: 5000 in {took:?}"
        );
        rocketmq.no_broker_was_restarted(&before).await;
    })
    .await;
}

#[tokio::test]
async fn by_the_client_5_5_0_the_ledger_of_a_cluster_that_nobody_touches_is_complete() {
    the_ledger_of_a_cluster_that_nobody_touches_is_complete(Options::default()).await;
}

#[tokio::test]
async fn by_the_client_4_9_7_the_ledger_of_a_cluster_that_nobody_touches_is_complete() {
    the_ledger_of_a_cluster_that_nobody_touches_is_complete(Options::default().client("4.9.7")).await;
}

#[tokio::test]
async fn an_emptydir_master_force_deleted_under_backlog_loses_messages() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker"))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let frozen = ledger.freeze_consumers().await;
        ledger.sends(500).await;
        let master = rocketmq.pod_name(0, 0);
        let before = rocketmq.broker_lives().await;
        space
            .kubectl(&["delete", "pod", &master, "--grace-period=0", "--force"])
            .await
            .done();
        frozen.thaw();
        space
            .wait_for("another master serves", START, async || {
                rocketmq.everything_is_listed().await
            })
            .await;
        ledger.sends(500).await;
        assert_ne!(rocketmq.broker_lives().await, before);
        let books = ledger.finish().await;
        assert!(
            books.lost() > 0,
            "a ledger that cannot see a loss proves nothing: {books:?}"
        );
    })
    .await;
}
