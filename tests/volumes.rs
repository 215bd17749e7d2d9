//! Volumes that are to become larger, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService, StorageMode};
use serde_json::{Value, json};
use support::fixtures::{NameServiceFixture, broker, name_service};
use support::kubelet::GROWING;
use support::world::World;

fn names(class: &str) -> NameServiceFixture {
    let claim = json!({
        "metadata": {"name": "namesrv-storage"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}},
    });
    name_service("names").size(2).with(|spec| {
        spec.storage_mode = StorageMode::StorageClass;
        spec.volume_claim_templates = Some(vec![serde_json::from_value(claim).unwrap()]);
    })
}

async fn serving(class: &str) -> World {
    let mut world = World::default();
    world.apply::<NameService>(names(class));
    world.apply::<Broker>(broker("orders").replicas(1).storage_class(class));
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    world.api.writes();
    world
}

fn uids(world: &World) -> BTreeMap<String, String> {
    let pods = world.api.all::<Pod>().into_iter();
    pods.map(|pod| (pod.name_any(), pod.uid().unwrap())).collect()
}

fn size<K>(world: &World, name: &str, size: &str)
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + serde::Serialize,
{
    let mut claims: Value = json!(world.get::<K>(name))["spec"]["volumeClaimTemplates"].clone();
    claims[0]["spec"]["resources"]["requests"]["storage"] = json!(size);
    world.edit::<K>(name, &json!({"spec": {"volumeClaimTemplates": claims}}));
}

fn asked(claim: &PersistentVolumeClaim) -> String {
    let requests = claim.spec.clone().unwrap().resources.unwrap().requests.unwrap();
    requests["storage"].0.clone()
}

/// What each claim asks for.
fn claims(world: &World) -> BTreeMap<String, String> {
    let claims = world.api.all::<PersistentVolumeClaim>().into_iter();
    claims.map(|claim| (claim.name_any(), asked(&claim))).collect()
}

fn template(world: &World, set: &str) -> String {
    let spec = world.get::<StatefulSet>(&format!("mq/{set}")).spec.unwrap();
    asked(&spec.volume_claim_templates.unwrap()[0])
}

fn says<K>(world: &World, name: &str, words: &str)
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + serde::Serialize,
{
    let told = world.conditions::<K>(name);
    assert!(
        told.iter().any(|line| line.contains(words)),
        "{words:?} is not in {told:#?}"
    );
}

#[tokio::test]
async fn a_larger_size_reaches_every_volume_of_brokers_and_restarts_none() {
    let mut world = serving(GROWING).await;
    let pods = uids(&world);
    size::<Broker>(&world, "mq/orders", "8Gi");
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert_eq!(uids(&world), pods);
    for set in ["orders-0-master", "orders-0-replica-1"] {
        assert_eq!(claims(&world)[&format!("broker-storage-{set}-0")], "8Gi");
        assert_eq!(template(&world, set), "8Gi");
        let pod = world.get::<Pod>(&format!("mq/{set}-0"));
        assert_eq!(
            pod.owner_references()[0].uid,
            world.get::<StatefulSet>(&format!("mq/{set}")).uid().unwrap()
        );
    }
    assert_eq!(claims(&world)["namesrv-storage-names-0"], "1Gi");
    world.api.requests();
    world.reconcile_all().await.unwrap();
    let asked = world.api.requests();
    assert!(
        asked
            .iter()
            .all(|request| !request.contains("PersistentVolumeClaim")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_larger_size_restarts_nothing_after_a_change_that_was_taken_live() {
    let mut world = serving(GROWING).await;
    let pods = uids(&world);
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"config": {"fileReservedTime": "48"}}}),
    );
    world.settle().await;
    assert_eq!(uids(&world), pods, "the key is not live");
    size::<Broker>(&world, "mq/orders", "8Gi");
    world.settle().await;
    assert_eq!(uids(&world), pods);
    assert_eq!(template(&world, "orders-0-master"), "8Gi");
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_volume_that_cannot_grow_keeps_no_master_read_only() {
    let mut world = World::default();
    world.apply::<NameService>(names("rocketmq-storage"));
    world.apply::<Broker>(broker("orders").groups(2).storage_class("rocketmq-storage"));
    world.settle().await;
    for group in 0..2 {
        let master = support::rolling::address(&world, &format!("orders-{group}-master-0"));
        let topic = rocketmq_operator::admin::TopicConfig::new("payments", 4);
        world.rocketmq.becomes(&master, |broker| broker.topic(topic));
    }
    world.rocketmq.register_all();
    let pods = uids(&world);
    size::<Broker>(&world, "mq/orders", "8Gi");
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}),
    );
    for _ in 0..10 {
        support::rolling::time_passes(&world, "mq/orders");
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
    says::<Broker>(&world, "mq/orders", "Degraded=True VolumeNotGrown");
    assert_eq!(uids(&world), pods);
    let master = world
        .rocketmq
        .broker_at(&support::rolling::address(&world, "orders-0-master-0"))
        .unwrap();
    assert_eq!(master.whole_config().broker_permission(), Some(6));
}

#[tokio::test]
async fn a_larger_size_reaches_every_volume_of_name_servers_and_restarts_none() {
    let mut world = serving(GROWING).await;
    let pods = uids(&world);
    size::<NameService>(&world, "mq/names", "2Gi");
    world.settle().await;
    assert!(world.ready::<NameService>("mq/names"));
    assert_eq!(uids(&world), pods);
    for ordinal in 0..2 {
        assert_eq!(claims(&world)[&format!("namesrv-storage-names-{ordinal}")], "2Gi");
    }
    assert_eq!(template(&world, "names"), "2Gi");
}

#[tokio::test]
async fn where_the_class_cannot_grow_volumes_it_is_named_with_the_remedy_and_nothing_else_changes() {
    let mut world = serving("rocketmq-storage").await;
    let (pods, before) = (uids(&world), claims(&world));
    let set = world.get::<StatefulSet>("mq/orders-0-master").uid();
    size::<Broker>(&world, "mq/orders", "8Gi");
    size::<NameService>(&world, "mq/names", "8Gi");
    world.settle().await;
    for told in [
        world.conditions::<Broker>("mq/orders"),
        world.conditions::<NameService>("mq/names"),
    ] {
        let told = told
            .iter()
            .find(|line| line.starts_with("Degraded=True VolumeNotGrown"))
            .unwrap();
        assert!(
            told.contains("allowVolumeExpansion: true on StorageClass \"rocketmq-storage\""),
            "{told}"
        );
    }
    assert!(world.ready::<Broker>("mq/orders"), "it serves as before");
    assert_eq!((uids(&world), claims(&world)), (pods, before));
    assert_eq!(world.get::<StatefulSet>("mq/orders-0-master").uid(), set);
    size::<Broker>(&world, "mq/orders", "1Gi");
    world.settle().await;
    says::<Broker>(&world, "mq/orders", "Degraded=False");
}

#[tokio::test]
async fn a_volume_is_never_made_smaller() {
    let mut world = serving(GROWING).await;
    size::<Broker>(&world, "mq/orders", "8Gi");
    size::<NameService>(&world, "mq/names", "8Gi");
    world.settle().await;
    let before = (uids(&world), claims(&world));
    size::<Broker>(&world, "mq/orders", "4Gi");
    size::<NameService>(&world, "mq/names", "4Gi");
    world.settle().await;
    says::<Broker>(
        &world,
        "mq/orders",
        "Degraded=True VolumeNotShrunk: spec.volumeClaimTemplates asks for less",
    );
    says::<NameService>(&world, "mq/names", "a volume is never made smaller");
    assert_eq!((uids(&world), claims(&world)), before);
}

#[tokio::test]
async fn the_same_size_in_other_words_restarts_nothing() {
    let mut world = serving(GROWING).await;
    let pods = uids(&world);
    size::<Broker>(&world, "mq/orders", "1024Mi");
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert_eq!(uids(&world), pods);
}

#[tokio::test]
async fn a_larger_size_and_a_new_image_together_are_one_restart_each_with_larger_volumes() {
    let mut world = serving(GROWING).await;
    let mut seen = uids(&world);
    size::<Broker>(&world, "mq/orders", "8Gi");
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}),
    );
    let mut order = Vec::new();
    for _ in 0..40 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
        for (pod, uid) in uids(&world) {
            if seen
                .insert(pod.clone(), uid.clone())
                .is_some_and(|before| before != uid)
            {
                order.push(pod);
            }
        }
    }
    assert_eq!(order, ["orders-0-replica-1-0", "orders-0-master-0"]);
    assert_eq!(template(&world, "orders-0-master"), "8Gi");
    assert_eq!(claims(&world)["broker-storage-orders-0-master-0"], "8Gi");
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn a_wish_to_restart_that_was_taken_back_is_not_repeated_by_larger_volumes() {
    let mut world = serving(GROWING).await;
    for at in [json!("today"), json!(null)] {
        let wish = json!({"metadata": {"annotations": {"rocketmq.apache.org/restartedAt": at}}});
        world.edit::<Broker>("mq/orders", &wish);
        world.edit::<NameService>("mq/names", &wish);
        world.settle().await;
    }
    let pods = uids(&world);
    size::<Broker>(&world, "mq/orders", "8Gi");
    size::<NameService>(&world, "mq/names", "8Gi");
    world.settle().await;
    assert_eq!(uids(&world), pods);
    assert_eq!(
        (template(&world, "orders-0-master"), template(&world, "names")),
        ("8Gi".to_owned(), "8Gi".to_owned())
    );
}

#[tokio::test]
async fn a_larger_size_and_fewer_replicas_in_one_edit_go_together() {
    for class in [GROWING, "rocketmq-storage"] {
        let mut world = serving(class).await;
        let master = world.get::<Pod>("mq/orders-0-master-0").uid();
        let less = json!({"spec": {"replicaPerGroup": 0}});
        size::<Broker>(&world, "mq/orders", "8Gi");
        world.edit::<Broker>("mq/orders", &less);
        for _ in 0..20 {
            world.reconcile_all().await.unwrap();
            world.kubelet.step();
        }
        assert!(world.ready::<Broker>("mq/orders"), "{class}");
        assert!(
            world.find::<StatefulSet>("mq/orders-0-replica-1").is_none(),
            "{class}"
        );
        assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), master, "{class}");
        let left = claims(&world)["broker-storage-orders-0-replica-1-0"].clone();
        assert_eq!(left, "1Gi", "{class}: it stays as it is");
    }
}

#[tokio::test]
async fn of_a_set_whose_broker_leaves_nothing_changes_but_what_becomes_of_its_claims() {
    let mut world = serving(GROWING).await;
    let spec = |world: &World| world.get::<StatefulSet>("mq/orders-0-replica-1").spec.unwrap();
    let mut expected = spec(&world);
    size::<Broker>(&world, "mq/orders", "8Gi");
    let less = json!({"spec": {
        "replicaPerGroup": 0,
        "brokerImage": "apache/rocketmq:5.5.1",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
    }});
    world.edit::<Broker>("mq/orders", &less);
    for _ in 0..3 {
        world.reconcile_all().await.unwrap();
    }
    // Nobody makes its claims its own here, and until they are it stays.
    let policy = expected.persistent_volume_claim_retention_policy.as_mut();
    policy.unwrap().when_deleted = Some("Delete".to_owned());
    assert_eq!(spec(&world), expected);
}

#[tokio::test]
async fn an_operator_killed_after_any_write_of_growing_ends_it_all_the_same_and_restarts_nothing() {
    let grow = |world: &World| {
        size::<Broker>(world, "mq/orders", "8Gi");
        size::<NameService>(world, "mq/names", "8Gi");
    };
    let mut calm = serving(GROWING).await;
    grow(&calm);
    calm.settle().await;
    let writes = calm.api.writes().len();
    assert!(writes > 8, "{writes}");
    for write in 1..=writes {
        let mut world = serving(GROWING).await;
        let pods = uids(&world);
        grow(&world);
        world.api.crash_after_write(write);
        world.run_until_crash().await;
        // While no operator runs, a volume and a set may be away, its pod is not.
        world.kubelet.step();
        world.api.heal();
        world.restart_operator();
        world.settle().await;
        assert_eq!(world.snapshot(), calm.snapshot(), "killed after write {write}");
        assert_eq!(uids(&world), pods, "killed after write {write}");
    }
}
