//! A cluster `orders` with name servers `names` that serves, and what is seen of it while a change is carried out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService};
use serde_json::json;

use super::fixtures::{BrokerFixture, broker, name_service};
use super::world::World;

pub async fn serving(broker: BrokerFixture) -> World {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker);
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    world
}

pub fn lasting() -> BrokerFixture {
    broker("orders").storage_class("rocketmq-storage")
}

pub fn address(world: &World, pod: &str) -> String {
    let pod = world.get::<Pod>(&format!("mq/{pod}"));
    format!("{}:10911", pod.status.unwrap().pod_ip.unwrap())
}

pub fn brokers(world: &World) -> BTreeMap<String, String> {
    let pods = world
        .names::<Pod>()
        .into_iter()
        .filter(|name| name.starts_with("orders"));
    pods.map(|name| {
        (
            name.clone(),
            world.get::<Pod>(&format!("mq/{name}")).uid().unwrap(),
        )
    })
    .collect()
}

pub fn says(world: &World, words: &str) {
    let conditions = world.conditions::<Broker>("mq/orders");
    assert!(
        conditions.iter().any(|line| line.contains(words)),
        "{words:?} is not in {conditions:#?}"
    );
}

pub fn edit(world: &World, patch: &serde_json::Value) {
    world.edit::<Broker>("mq/orders", patch);
}

/// Whatever a roll of this `Broker` waits for by the clock has lasted long enough: producers have had their 30 s.
pub fn time_passes(world: &World, broker: &str) {
    let status = world.get::<Broker>(broker).status.unwrap();
    let rollout = json!(status.rollout);
    for since in ["fencedSince", "quietSince", "cleanSince"] {
        if rollout[since].is_string() {
            let long_ago = json!({"rollout": {since: "2026-01-01T00:00:00Z"}});
            world.edit_status::<Broker>(broker, &long_ago);
        }
    }
}

/// Reconciles once, and lets time pass for pods; those that were replaced since `seen`, which is brought up to date. Not more
/// than one is away.
pub async fn round(world: &mut World, seen: &mut BTreeMap<String, String>) -> Vec<String> {
    world.reconcile_all().await.unwrap();
    let now = brokers(world);
    let away: Vec<_> = seen.keys().filter(|name| !now.contains_key(*name)).collect();
    assert!(away.len() <= 1, "{away:?} are away at the same time");
    world.kubelet.step();
    let now = brokers(world).into_iter();
    now.filter_map(|(name, uid)| {
        let before = seen.insert(name.clone(), uid.clone());
        before.is_some_and(|before| before != uid).then_some(name)
    })
    .collect()
}

/// Reconciles step by step until nothing is left to restart; the pods in the order in which they were replaced.
pub async fn roll(world: &mut World) -> Vec<String> {
    let (mut seen, mut order) = (brokers(world), Vec::new());
    for _ in 0..80 {
        order.extend(round(world, &mut seen).await);
        if world.ready::<Broker>("mq/orders") {
            return order;
        }
    }
    panic!("not ready: {:#?}", world.conditions::<Broker>("mq/orders"));
}
