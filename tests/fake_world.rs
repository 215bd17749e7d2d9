//! A cluster comes up in the world that the reconcile tests stand on.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::admin::Admin;
use rocketmq_operator::api::{Broker, NameService};
use support::fixtures::{broker, name_service};
use support::world::World;

#[tokio::test]
async fn a_cluster_becomes_ready_and_then_nothing_is_written() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names").size(2));
    world.apply::<Broker>(broker("orders").groups(2).replicas(1));
    world.settle().await;
    assert_eq!(
        world.names::<StatefulSet>(),
        [
            "names",
            "orders-0-master",
            "orders-0-replica-1",
            "orders-1-master",
            "orders-1-replica-1"
        ]
    );
    assert_eq!(world.names::<Pod>().len(), 6);
    assert!(
        world.ready::<NameService>("mq/names"),
        "{:#?}",
        world.conditions::<NameService>("mq/names")
    );
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert!(world.api.writes().is_empty());
}

#[tokio::test]
async fn pods_say_what_keeps_them_from_running_and_run_when_it_is_mended() {
    let mut world = World::default();
    world.kubelet.cannot_pull("typo");
    world.kubelet.cannot_schedule(
        "waits-0-master-0",
        "0/1 nodes are available: Insufficient memory.",
    );
    world.kubelet.hold("held-0-master-0");
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("pulls").image("apache/rocketmq:typo"));
    world.apply::<Broker>(broker("waits"));
    world.apply::<Broker>(broker("claims").storage_class("nope"));
    world.apply::<Broker>(broker("held"));
    world.settle().await;
    for (broker, words) in [
        ("pulls", "apache/rocketmq:typo"),
        ("waits", "Insufficient memory"),
        ("claims", "storageclass.storage.k8s.io \"nope\" not found"),
        ("held", ""),
    ] {
        let conditions = world.conditions::<Broker>(&format!("mq/{broker}"));
        assert!(
            conditions.iter().any(|line| line.contains(words)),
            "{broker}: {conditions:#?}"
        );
        assert!(
            !world.ready::<Broker>(&format!("mq/{broker}")),
            "{broker}: {conditions:#?}"
        );
    }
    world.kubelet.heal();
    world.settle().await;
    for broker in ["pulls", "waits", "held"] {
        assert!(world.ready::<Broker>(&format!("mq/{broker}")), "{broker}");
    }
}

#[tokio::test]
async fn brokers_follow_their_name_servers_to_new_addresses() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    world.delete::<Pod>("mq/names-0");
    world.reconcile_all().await.unwrap();
    assert!(!world.ready::<Broker>("mq/orders"));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn what_is_deleted_takes_its_pods_and_processes_with_it() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    world.delete::<Broker>("mq/orders");
    world.settle().await;
    assert_eq!(world.names::<Pod>(), ["names-0"]);
    assert_eq!(world.names::<StatefulSet>(), ["names"]);
    let server = world.get::<Pod>("mq/names-0").status.unwrap().pod_ip.unwrap();
    let listed = world
        .rocketmq
        .cluster_info(&format!("{server}:9876"))
        .await
        .unwrap();
    assert!(listed.brokers.is_empty());
}
