//! What the reconcilers do for the people who use them, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService};
use rocketmq_operator::k8s::service;
use serde_json::json;
use support::fixtures::{broker, name_service};
use support::world::World;

/// A cluster of one group with a replica that serves.
async fn serving() -> World {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").replicas(1));
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    world.api.writes();
    world
}

fn pod_uids(world: &World) -> Vec<Option<String>> {
    let pods = world.names::<Pod>();
    pods.iter()
        .map(|name| world.get::<Pod>(&format!("mq/{name}")).uid())
        .collect()
}

fn says(world: &World, broker: &str, words: &str) {
    let conditions = world.conditions::<Broker>(broker);
    assert!(
        conditions.iter().any(|line| line.contains(words)),
        "{words:?} is not in {conditions:#?}"
    );
}

#[tokio::test]
async fn a_deleted_service_comes_back_with_the_address_that_its_broker_advertises() {
    let mut world = serving().await;
    let address = |world: &World| {
        let found = world.get::<Service>("mq/orders-0-master");
        service::address(&found).unwrap().to_owned()
    };
    let (before, pods) = (address(&world), pod_uids(&world));
    world.delete::<Service>("mq/orders-0-master");
    world.settle().await;
    assert_eq!(address(&world), before);
    assert_eq!(pod_uids(&world), pods);
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn whatever_child_is_deleted_comes_back_and_no_pod_is_replaced_for_it() {
    let mut world = serving().await;
    let pods = pod_uids(&world);
    for name in world.names::<ConfigMap>() {
        world.delete::<ConfigMap>(&format!("mq/{name}"));
    }
    for name in world.names::<Service>() {
        world.delete::<Service>(&format!("mq/{name}"));
    }
    for name in world.names::<PodDisruptionBudget>() {
        world.delete::<PodDisruptionBudget>(&format!("mq/{name}"));
    }
    let (maps, services, budgets) = (5, 5, 2);
    world.settle().await;
    assert_eq!(world.names::<ConfigMap>().len(), maps);
    assert_eq!(world.names::<Service>().len(), services);
    assert_eq!(world.names::<PodDisruptionBudget>().len(), budgets);
    assert_eq!(pod_uids(&world), pods);
}

#[tokio::test]
async fn an_edited_child_becomes_what_it_was() {
    let mut world = serving().await;
    world.edit::<ConfigMap>(
        "mq/orders-name-servers",
        &json!({"data": {"NAMESRV_ADDR": "elsewhere:9876"}}),
    );
    world.edit::<StatefulSet>("mq/orders-0-master", &json!({"spec": {"replicas": 0}}));
    world.settle().await;
    let list = world.get::<ConfigMap>("mq/orders-name-servers").data.unwrap();
    assert_eq!(list["NAMESRV_ADDR"], "names-0.names-headless.mq.svc:9876");
    assert_eq!(
        world
            .get::<StatefulSet>("mq/orders-0-master")
            .spec
            .unwrap()
            .replicas,
        Some(1)
    );
}

#[tokio::test]
async fn ready_is_false_as_soon_as_one_name_server_does_not_list_a_broker_and_says_which() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names").size(2));
    world.apply::<Broker>(broker("orders").replicas(1));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    let second = world.get::<Pod>("mq/names-1").status.unwrap().pod_ip.unwrap();
    world
        .rocketmq
        .strike_off(&format!("{second}:9876"), "orders-0", 1);
    world.reconcile_broker("mq/orders").await.unwrap();
    assert!(!world.ready::<Broker>("mq/orders"));
    says(&world, "mq/orders", "orders-0-replica-1-0: not listed by names-1");
}

#[tokio::test]
async fn an_object_of_somebody_else_under_our_name_is_left_alone_and_named() {
    let mut world = World::default();
    let labels = json!({"app": "theirs"});
    let theirs: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": "orders-0-master"},
        "spec": {"replicas": 0, "serviceName": "theirs", "selector": {"matchLabels": labels.clone()},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}}},
    }))
    .unwrap();
    world.apply::<StatefulSet>(theirs);
    let before = world.get::<StatefulSet>("mq/orders-0-master");
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    let after = world.get::<StatefulSet>("mq/orders-0-master");
    assert_eq!(
        (after.spec, after.metadata.owner_references),
        (before.spec, before.metadata.owner_references)
    );
    says(
        &world,
        "mq/orders",
        "Degraded=True ForeignObject: StatefulSet orders-0-master has no owner",
    );
    world.delete::<StatefulSet>("mq/orders-0-master");
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn with_several_name_services_nothing_is_guessed() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<NameService>(name_service("others"));
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    says(
        &world,
        "mq/orders",
        "there are 2 NameServices in namespace mq (names, others); name one in spec.nameService",
    );
    assert!(world.find::<StatefulSet>("mq/orders-0-master").is_none());
    world.edit::<Broker>("mq/orders", &json!({"spec": {"nameService": "others"}}));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    let list = world.get::<ConfigMap>("mq/orders-name-servers").data.unwrap();
    assert_eq!(list["NAMESRV_ADDR"], "others-0.others-headless.mq.svc:9876");
}

#[tokio::test]
async fn a_paused_cluster_is_watched_but_not_written() {
    let mut world = serving().await;
    world.edit::<Broker>(
        "mq/orders",
        &json!({"metadata": {"annotations": {"rocketmq.apache.org/paused": "true"}}}),
    );
    world.delete::<ConfigMap>("mq/orders-start");
    world.settle().await;
    assert!(world.find::<ConfigMap>("mq/orders-start").is_none());
    says(&world, "mq/orders", "Progressing=False Paused");
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_mended_by_correcting_it() {
    let mut world = World::default();
    world.kubelet.cannot_pull("typo");
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").image("apache/rocketmq:typo").replicas(1));
    world.settle().await;
    says(&world, "mq/orders", "Degraded=True ImagePullFailed");
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.0"}}),
    );
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn a_second_broker_of_the_same_name_and_host_path_is_refused() {
    let mut world = World::default();
    for namespace in ["mq", "other"] {
        world.apply::<NameService>(name_service("names").in_namespace(namespace));
        world.apply::<Broker>(broker("orders").host_path("/data").in_namespace(namespace));
        world.settle().await;
    }
    assert!(world.ready::<Broker>("mq/orders"));
    says(
        &world,
        "other/orders",
        "spec.hostPath: Broker orders of namespace mq has the same name and path",
    );
    assert!(world.find::<StatefulSet>("other/orders-0-master").is_none());
}
