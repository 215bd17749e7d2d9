//! Growing and shrinking a cluster that runs, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

#[path = "../support/mod.rs"]
mod support;

mod beginnings;
mod draining;
mod leaving;
mod opening;
mod undone;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use kube::ResourceExt;
use rocketmq_operator::admin::fake::FakeBroker;
use rocketmq_operator::admin::{SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::{Broker, NameService};
use serde_json::json;
use support::fixtures::{broker, name_service};
use support::world::World;

/// A cluster of one group whose master has topics and a subscription group of its users.
async fn in_use() -> World {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    let billing = SubscriptionGroup::new("billing").with("retryMaxTimes", 3);
    world
        .rocketmq
        .becomes(&address(&world, "orders-0-master-0"), |master| {
            let mut parcels = TopicConfig::new("parcels", 1);
            parcels.perm = 4;
            master
                .topic(TopicConfig::new("payments", 8))
                .topic(parcels)
                .group(&billing)
        });
    world
}

fn address(world: &World, pod: &str) -> String {
    let pod = world.get::<Pod>(&format!("mq/{pod}"));
    format!("{}:10911", pod.status.unwrap().pod_ip.unwrap())
}

fn broker_of(world: &World, pod: &str) -> FakeBroker {
    world.rocketmq.broker_at(&address(world, pod)).unwrap()
}

fn permission(world: &World, pod: &str) -> Option<i32> {
    broker_of(world, pod).whole_config().broker_permission()
}

fn permission_if_any(world: &World, pod: &str) -> Option<i32> {
    let pod = world.find::<Pod>(&format!("mq/{pod}"))?;
    let ip = pod.status?.pod_ip?;
    let broker = world.rocketmq.broker_at(&format!("{ip}:10911"))?;
    broker.whole_config().broker_permission()
}

fn says(world: &World, words: &str) {
    let conditions = world.conditions::<Broker>("mq/orders");
    assert!(
        conditions.iter().any(|line| line.contains(words)),
        "{words:?} is not in {conditions:#?}"
    );
}

fn resize(world: &World, size: i32) {
    world.edit::<Broker>("mq/orders", &json!({"spec": {"size": size}}));
}

#[tokio::test]
async fn more_replicas_restart_no_broker() {
    let mut world = in_use().await;
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicationMode": "SYNC"}}));
    world.delete::<StatefulSet>("mq/orders-0-master");
    world.settle().await;
    let before = world.get::<Pod>("mq/orders-0-master-0").uid();
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicaPerGroup": 1}}));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert!(world.find::<Pod>("mq/orders-0-replica-1-0").is_some());
    assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), before);
    let config = broker_of(&world, "orders-0-master-0").whole_config();
    assert_eq!(config.get("inSyncReplicas"), Some("2"));
}

#[tokio::test]
async fn brokers_are_told_of_a_new_name_server_and_none_restarts() {
    let mut world = in_use().await;
    let before = world.get::<Pod>("mq/orders-0-master-0").uid();
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": 2}}));
    world.settle().await;
    let list = "names-0.names-headless.mq.svc:9876;names-1.names-headless.mq.svc:9876";
    let config = broker_of(&world, "orders-0-master-0").whole_config();
    assert_eq!(config.get("namesrvAddr"), Some(list));
    let status = world.get::<Broker>("mq/orders").status.unwrap();
    assert_eq!(status.name_servers.as_deref(), Some(list));
    assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), before);
}

#[tokio::test]
async fn fewer_replicas_leave_one_by_one_with_all_that_was_made_for_them_and_their_masters_stay() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(
        broker("orders")
            .replicas(2)
            .synchronous()
            .storage_class("rocketmq-storage"),
    );
    world.settle().await;
    let before = world.get::<Pod>("mq/orders-0-master-0").uid();
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicaPerGroup": 0}}));
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
    assert_eq!(world.names::<Pod>(), ["names-0", "orders-0-master-0"]);
    let left = |names: Vec<String>| {
        names
            .into_iter()
            .filter(|name| name.contains("replica"))
            .collect::<Vec<_>>()
    };
    assert_eq!(left(world.names::<Service>()), Vec::<String>::new());
    assert_eq!(left(world.names::<ConfigMap>()), Vec::<String>::new());
    assert_eq!(left(world.names::<PersistentVolumeClaim>()).len(), 2);
    assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), before);
    let config = broker_of(&world, "orders-0-master-0").whole_config();
    assert_eq!(config.get("inSyncReplicas"), Some("1"));
    assert_eq!(
        world.get::<Broker>("mq/orders").status.unwrap().replica_per_group,
        Some(0)
    );
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicaPerGroup": 1}}));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn the_service_of_a_broker_that_leaves_stays_until_its_pod_has_stopped() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").replicas(1));
    world.settle().await;
    let mut stopping = world.get::<Pod>("mq/orders-0-replica-1-0");
    stopping.metadata.deletion_timestamp = stopping.metadata.creation_timestamp.clone();
    (stopping.metadata.uid, stopping.metadata.resource_version) = (None, None);
    (
        stopping.metadata.owner_references,
        stopping.metadata.managed_fields,
    ) = (None, None);
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicaPerGroup": 0}}));
    while world.find::<StatefulSet>("mq/orders-0-replica-1").is_some() {
        world.reconcile_broker("mq/orders").await.unwrap();
    }
    // The set is gone, and its pod takes its time.
    world.apply::<Pod>(stopping);
    for _ in 0..5 {
        world.reconcile_broker("mq/orders").await.unwrap();
    }
    assert!(world.find::<Service>("mq/orders-0-replica-1").is_some());
    assert!(!world.ready::<Broker>("mq/orders"));
    world.delete::<Pod>("mq/orders-0-replica-1-0");
    world.settle().await;
    assert!(world.find::<Service>("mq/orders-0-replica-1").is_none());
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_replica_that_a_synchronous_master_counts_on_stays_until_the_master_was_told() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").replicas(1).synchronous());
    world.settle().await;
    let master = address(&world, "orders-0-master-0");
    world.rocketmq.deaf(&master);
    world.edit::<Broker>("mq/orders", &json!({"spec": {"replicaPerGroup": 0}}));
    world.settle().await;
    assert!(world.find::<StatefulSet>("mq/orders-0-replica-1").is_some());
    world.rocketmq.heal(&master);
    world.settle().await;
    assert!(world.find::<StatefulSet>("mq/orders-0-replica-1").is_none());
}

#[tokio::test]
async fn name_servers_go_only_when_brokers_have_left_them_and_none_restarts() {
    let mut world = in_use().await;
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": 3}}));
    world.settle().await;
    let before = world.get::<Pod>("mq/orders-0-master-0").uid();
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": 1}}));
    world.settle().await;
    assert!(world.find::<Pod>("mq/names-1").is_none());
    let config = broker_of(&world, "orders-0-master-0").whole_config();
    assert_eq!(
        config.get("namesrvAddr"),
        Some("names-0.names-headless.mq.svc:9876")
    );
    assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), before);
    assert!(world.ready::<Broker>("mq/orders"));
}
