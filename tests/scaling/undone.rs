//! Users who change their minds while a cluster grows or shrinks, and groups that leave with their replicas.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::ResourceExt;
use rocketmq_operator::api::ScaleInPhase::{Removing, Stopping};
use rocketmq_operator::api::{Broker, NameService};

use crate::leaving::{time_passes, two_groups, until};
use crate::support::fixtures::{broker, name_service};
use crate::support::world::World;
use crate::{broker_of, in_use, permission, resize, says};

#[tokio::test]
async fn a_group_that_was_asked_for_only_for_a_moment_leaves_as_any_other() {
    let mut world = in_use().await;
    resize(&world, 2);
    while world.find::<StatefulSet>("mq/orders-1-master").is_none() {
        world.reconcile_broker("mq/orders").await.unwrap();
    }
    let size = world.get::<Broker>("mq/orders").status.unwrap().size;
    assert_eq!(size, 1, "the status does not know of it yet");
    resize(&world, 1);
    time_passes(&mut world, 3).await;
    says(&world, "Progressing=True ScalingIn");
    time_passes(&mut world, 40).await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
    says(&world, "Degraded=False");
}

#[tokio::test]
async fn a_group_that_is_asked_for_again_after_its_master_was_stopped_is_opened_as_a_new_one() {
    let mut world = two_groups(0).await;
    let before = world.get::<Pod>("mq/orders-1-master-0").uid();
    resize(&world, 1);
    until(&mut world, Stopping).await;
    while world.find::<StatefulSet>("mq/orders-1-master").is_some() {
        time_passes(&mut world, 1).await;
    }
    resize(&world, 2);
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_ne!(world.get::<Pod>("mq/orders-1-master-0").uid(), before);
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    let topics = broker_of(&world, "orders-1-master-0").topics().clone();
    assert!(topics.contains_key("payments"), "it has what the others have");
    let status = world.get::<Broker>("mq/orders").status.unwrap();
    assert_eq!((status.size, status.scale_in), (2, None));
}

#[tokio::test]
async fn a_group_leaves_with_its_replicas_and_they_go_first() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").groups(2).replicas(1).synchronous());
    world.settle().await;
    resize(&world, 1);
    let there = |world: &World, set: &str| world.find::<StatefulSet>(&format!("mq/{set}")).is_some();
    until(&mut world, Stopping).await;
    while there(&world, "orders-1-replica-1") {
        assert!(there(&world, "orders-1-master"), "the master went first");
        time_passes(&mut world, 1).await;
    }
    until(&mut world, Removing).await;
    time_passes(&mut world, 20).await;
    assert!(world.ready::<Broker>("mq/orders"));
    for names in [
        world.names::<Pod>(),
        world.names::<Service>(),
        world.names::<ConfigMap>(),
    ] {
        assert!(
            names.iter().all(|name| !name.starts_with("orders-1-")),
            "{names:?}"
        );
    }
    assert_eq!(
        world.names::<StatefulSet>(),
        ["names", "orders-0-master", "orders-0-replica-1"]
    );
}
