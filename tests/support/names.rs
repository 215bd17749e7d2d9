//! A NameService called `names`, and what users do to it and see of it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rocketmq_operator::admin::{Admin, ORDER_TOPICS};
use rocketmq_operator::api::{Broker, NameService};
use serde_json::json;

use super::fixtures::{NameServiceFixture, broker, name_service};
use super::world::World;

/// Another image than the one that name servers start with.
pub const NEWER: &str = "apache/rocketmq:5.5.1";

/// Name servers that serve, and nothing else.
pub async fn serving(names: NameServiceFixture) -> World {
    let mut world = World::default();
    world.apply::<NameService>(names);
    world.settle().await;
    assert!(world.ready::<NameService>("mq/names"), "{:#?}", told(&world));
    world.api.writes();
    world
}

/// Name servers, and a Broker that runs with all of them and cannot be told otherwise: what it runs with is what its status
/// says.
pub async fn used(size: i32) -> World {
    let mut world = serving(name_service("names").size(size)).await;
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    let pod = world.get::<Pod>("mq/orders-0-master-0");
    let address = format!("{}:10911", pod.status.unwrap().pod_ip.unwrap());
    world.rocketmq.deaf(&address);
    world.settle().await;
    world
}

pub fn runs_with(world: &World, broker: &str, size: i32) {
    let list = rocketmq_operator::name_service::stable_names("names", "mq", size).join(";");
    world.edit_status::<Broker>(&format!("mq/{broker}"), &json!({ "nameServers": list }));
}

pub fn told(world: &World) -> Vec<String> {
    world.conditions::<NameService>("mq/names")
}

pub fn says(world: &World, words: &str) {
    let told = told(world);
    assert!(
        told.iter().any(|line| line.contains(words)),
        "{words:?} is not in {told:#?}"
    );
}

pub fn published(world: &World) -> i32 {
    world.get::<NameService>("mq/names").status.unwrap().size
}

pub fn replicas(world: &World) -> i32 {
    world
        .get::<StatefulSet>("mq/names")
        .spec
        .unwrap()
        .replicas
        .unwrap()
}

pub fn scale(world: &World, size: i32) {
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": size}}));
}

pub fn change_image(world: &World, image: &str) {
    world.edit::<NameService>("mq/names", &json!({"spec": {"nameServiceImage": image}}));
}

pub fn uid(world: &World, pod: &str) -> String {
    world.get::<Pod>(&format!("mq/{pod}")).uid().unwrap()
}

pub fn uids(world: &World) -> BTreeMap<String, String> {
    let pods = world.names::<Pod>();
    pods.into_iter()
        .map(|name| (name.clone(), uid(world, &name)))
        .collect()
}

pub fn address(world: &World, pod: &str) -> String {
    let pod = world.get::<Pod>(&format!("mq/{pod}"));
    format!("{}:9876", pod.status.unwrap().pod_ip.unwrap())
}

pub async fn order_topics(world: &World, pod: &str) -> Vec<String> {
    let kept = world
        .rocketmq
        .kv_list(&address(world, pod), ORDER_TOPICS)
        .await
        .unwrap();
    kept.into_keys().collect()
}

/// A user makes an order topic, on every name server as RocketMQ's tools do.
pub fn put_order_topic(world: &World, size: i32, topic: &str) {
    for ordinal in 0..size {
        let server = address(world, &format!("names-{ordinal}"));
        world.rocketmq.kv(&server, ORDER_TOPICS, topic, "orders-0:4");
    }
}

pub async fn delete_order_topic(world: &World, pod: &str, topic: &str) {
    let server = address(world, pod);
    world
        .rocketmq
        .delete_kv(&server, ORDER_TOPICS, topic)
        .await
        .unwrap();
}

/// What was asked of RocketMQ and changes something, after forgetting what was before.
pub fn changes_of_rocketmq(world: &World) -> usize {
    world.rocketmq.changes().len()
}

pub async fn is_at_rest(world: &mut World) {
    world.api.writes();
    let changes = changes_of_rocketmq(world);
    world.reconcile_all().await.unwrap();
    assert_eq!(world.api.writes(), Vec::<String>::new());
    assert_eq!(changes_of_rocketmq(world), changes);
}
