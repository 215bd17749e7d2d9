//! Whatever happens between two writes, the same cluster results, and then nothing is written.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

use k8s_openapi::api::core::v1::ConfigMap;
use rocketmq_operator::api::{Broker, NameService};
use support::api::Failure;
use support::fixtures::{broker, name_service};
use support::world::World;

fn asked_for(groups: i32) -> World {
    let world = World::default();
    world.apply::<NameService>(name_service("names").size(groups));
    world.apply::<Broker>(broker("orders").groups(groups).replicas(1));
    world
}

/// The cluster that results when nothing goes wrong, and how many writes that took.
async fn undisturbed(groups: i32) -> (World, usize) {
    let mut world = asked_for(groups);
    world.settle().await;
    let writes = world.api.writes().len();
    (world, writes)
}

/// The world has come to where it would be had nothing gone wrong, and stays there.
async fn is_as(world: &mut World, undisturbed: &World, what_went_wrong: &str) {
    assert_eq!(world.snapshot(), undisturbed.snapshot(), "{what_went_wrong}");
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert!(world.api.writes().is_empty(), "{what_went_wrong}");
}

#[tokio::test]
async fn an_operator_killed_after_any_of_its_writes_ends_in_the_same_cluster() {
    let (calm, writes) = undisturbed(2).await;
    assert!(writes > 20, "{writes}");
    for write in 1..=writes {
        let mut world = asked_for(2);
        world.api.crash_after_write(write);
        world.run_until_crash().await;
        assert!(world.api.has_crashed(), "there was no write {write}");
        world.api.heal();
        world.restart_operator();
        world.settle().await;
        is_as(&mut world, &calm, &format!("killed after write {write}")).await;
    }
}

#[tokio::test]
async fn a_write_that_fails_whichever_it_is_changes_nothing_in_the_end() {
    let (calm, writes) = undisturbed(1).await;
    for failure in [
        Failure::Conflict,
        Failure::Internal,
        Failure::DoneButTimedOut,
        Failure::DoneButLost,
    ] {
        for write in 1..=writes {
            let mut world = asked_for(1);
            world.api.fail_write(write, failure);
            world.settle().await;
            is_as(&mut world, &calm, &format!("{failure:?} at write {write}")).await;
        }
    }
}

#[tokio::test]
async fn an_operator_that_restarts_writes_nothing() {
    let mut world = asked_for(2);
    world.settle().await;
    world.api.writes();
    world.restart_operator();
    world.settle().await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_edited_or_no_longer_wanted_while_no_operator_ran_is_mended_by_the_next_one() {
    let mut world = asked_for(1);
    world.settle().await;
    let calm = world.snapshot();
    world.edit::<ConfigMap>(
        "mq/orders-start",
        &serde_json::json!({"data": {"start.sh": "exit 1"}}),
    );
    world.restart_operator();
    world.settle().await;
    assert_eq!(world.snapshot(), calm);
}
