//! Other resources: every broker restarts once, and producers have somewhere to go.

use std::time::{Duration, Instant};

use super::{GAP, carried_out, lasting, other_resources, pods, roll};
use crate::harness::fixtures::name_service;
use crate::harness::ledger::{Ledger, Options};
use crate::harness::node::{self, is_ready};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};

#[tokio::test]
async fn with_two_groups_each_of_four_brokers_restarts_once_and_no_producer_waits() {
    scenario(7, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(
                &name_service("name-service").size(3),
                &lasting().size(2).replicas(1),
            )
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let replaced = roll(&rocketmq, other_resources("11m")).await;
        let expected = pods(&rocketmq, [(0, 1), (1, 1), (0, 0), (1, 0)]);
        let by_group = pods(&rocketmq, [(0, 1), (0, 0), (1, 1), (1, 0)]);
        assert!(
            replaced.order == by_group || replaced.order == expected,
            "{replaced:?}"
        );
        assert_eq!(replaced.most_away, 1);
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}

/// How long a pod is away, from the moment it stops being ready to that when its successor is.
async fn away(rocketmq: &Rocketmq, group: u64) -> Duration {
    let master_is_ready = async |wanted: bool| {
        rocketmq
            .space
            .wait_for(
                &format!("the master's readiness is {wanted}"),
                START,
                async || {
                    let pod = rocketmq.space.get("Pod", &rocketmq.pod_name(group, 0)).await;
                    let ready = pod.as_ref().is_some_and(is_ready);
                    if ready == wanted {
                        Ok(())
                    } else {
                        Err("not yet".into())
                    }
                },
            )
            .await;
    };
    master_is_ready(false).await;
    let start = Instant::now();
    master_is_ready(true).await;
    start.elapsed()
}

#[tokio::test]
async fn with_one_group_producers_wait_no_longer_than_its_master_is_away() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().replicas(1))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let rolls = roll(&rocketmq, other_resources("11m"));
        let (replaced, away) = futures::join!(rolls, away(&rocketmq, 0));
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 1), (0, 0)]));
        ledger.sending().await;
        let books = ledger.finish().await;
        println!("the master was away for {away:.1?}");
        books.nothing_is_lost();
        books.no_gap_over(away + seconds(5));
    })
    .await;
}

#[tokio::test]
async fn a_change_of_mind_in_the_middle_restarts_no_broker_twice_for_one_change() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().size(2).replicas(1))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let first = rocketmq.pod_name(0, 1);
        let was = rocketmq.broker_lives().await[&first].clone();
        let story = async {
            rocketmq.change(other_resources("11m")).await;
            space
                .wait_for("the first broker is replaced", START, async || {
                    let pod = space.get("Pod", &first).await.ok_or("it is away")?;
                    let lives = rocketmq.broker_lives().await;
                    if is_ready(&pod) && lives.get(&first).is_some_and(|life| *life != was) {
                        Ok(())
                    } else {
                        Err("not yet".into())
                    }
                })
                .await;
            rocketmq.change(other_resources("12m")).await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        println!("{replaced:?}");
        let times = |pod: &String| replaced.order.iter().filter(|name| *name == pod).count();
        for pod in pods(&rocketmq, [(0, 0), (1, 0), (1, 1)]) {
            assert_eq!(times(&pod), 1, "{pod}: {replaced:?}");
        }
        assert_eq!(times(&first), 2, "{replaced:?}");
        assert_eq!(replaced.most_away, 1);
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}

#[tokio::test]
async fn a_broker_whose_pod_or_jvm_dies_comes_back_and_no_producer_waits() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().size(2).replicas(1))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let pod = rocketmq.pod_name(0, 0);
        space
            .kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"])
            .await
            .done();
        carried_out(&rocketmq).await;
        ledger.sending().await;
        node::jvm(&rocketmq.pod(1, 0).await).unwrap().signal("KILL");
        ledger.sends(500).await;
        carried_out(&rocketmq).await;
        ledger.sending().await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}
