//! Objects as earlier releases made them: the operator of today restarts nothing of them. And what else restarts nothing, or
//! only what it must.
//!
//! `RECORD=1 cargo test --test releases` writes what this version makes into `tests/fixtures/releases/<version>`, once, when it
//! is released; what is there is never written again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService, StorageMode};
use serde_json::{Value, json};
use support::fixtures::{BrokerFixture, NameServiceFixture, broker, name_service};
use support::objects::Key;
use support::world::World;

/// One cluster of each kind that users have.
fn clusters() -> BTreeMap<&'static str, (NameServiceFixture, BrokerFixture)> {
    let claim = json!({
        "metadata": {"name": "namesrv-storage"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "rocketmq-storage",
            "resources": {"requests": {"storage": "1Gi"}}},
    });
    let lasting = name_service("names").size(3).with(|spec| {
        spec.storage_mode = StorageMode::StorageClass;
        spec.volume_claim_templates = Some(vec![serde_json::from_value(claim).unwrap()]);
    });
    let rich = broker("orders")
        .groups(2)
        .replicas(1)
        .synchronous()
        .storage_class("rocketmq-storage")
        .config("fileReservedTime", "72")
        .with(|spec| {
            let extra = json!({
                "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                "jvmOptions": "-Xmx1g", "hostNetwork": false, "podLabels": {"team": "billing"},
                "podAnnotations": {"note": "x"}, "nodeSelector": {"disk": "fast"},
                "securityContext": {"runAsUser": 3000, "runAsGroup": 3000, "fsGroup": 3000},
                "resources": {"limits": {"memory": "2Gi"}},
            });
            let mut whole = json!(spec);
            for (field, value) in extra.as_object().unwrap() {
                whole[field] = value.clone();
            }
            *spec = serde_json::from_value(whole).unwrap();
        });
    let mut all = BTreeMap::new();
    all.insert("empty-dir", (name_service("names"), broker("orders")));
    let on_host = broker("orders").host_path("/data").replicas(1);
    all.insert("host-path", (name_service("names"), on_host));
    all.insert("storage-class", (lasting, rich));
    let dialled = broker("orders")
        .replicas(2)
        .with(|spec| spec.host_network = Some(true));
    all.insert("pod-ip", (name_service("names").size(2), dialled));
    let wish = "rocketmq.apache.org/restartedAt";
    let restarted = broker("orders").storage_class("rocketmq-storage");
    all.insert(
        "restarted",
        (
            name_service("names").annotated(wish, "then"),
            restarted.annotated(wish, "then"),
        ),
    );
    all
}

async fn made(cluster: &(NameServiceFixture, BrokerFixture)) -> World {
    let mut world = World::default();
    world.apply::<NameService>(cluster.0.clone());
    world.apply::<Broker>(cluster.1.clone());
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    world
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/releases")
}

/// Everything but events and pods: those are made from the sets.
fn objects(world: &World) -> Vec<Value> {
    world.api.objects(|objects| {
        let all = objects
            .everything()
            .filter(|object| object["kind"] != "Event" && object["kind"] != "Pod");
        all.cloned().collect()
    })
}

fn uids(world: &World) -> BTreeMap<String, String> {
    let pods = world.api.all::<Pod>().into_iter();
    pods.map(|pod| (pod.name_any(), pod.uid().unwrap())).collect()
}

fn templates(world: &World) -> BTreeMap<String, Value> {
    let sets = world.api.all::<StatefulSet>().into_iter();
    sets.map(|set| (set.name_any(), json!(set.spec.unwrap().template)))
        .collect()
}

/// A world with these objects in it, as the API server of that time kept them.
fn upgraded(recorded: &[Value]) -> World {
    let world = World::default();
    for object in recorded {
        let api_version = object["apiVersion"].as_str().unwrap();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let key = Key {
            group: group.to_owned(),
            resource: plural(object["kind"].as_str().unwrap()).to_owned(),
            namespace: object["metadata"]["namespace"].as_str().unwrap().to_owned(),
            name: object["metadata"]["name"].as_str().unwrap().to_owned(),
        };
        world.api.objects(|objects| objects.restore(&key, object.clone()));
    }
    world
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "StatefulSet" => "statefulsets",
        "Service" => "services",
        "ConfigMap" => "configmaps",
        "PodDisruptionBudget" => "poddisruptionbudgets",
        "PersistentVolumeClaim" => "persistentvolumeclaims",
        "Broker" => "brokers",
        "NameService" => "nameservices",
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_this_version_makes_is_recorded_when_it_is_released() {
    if std::env::var_os("RECORD").is_none() {
        return;
    }
    let folder = folder().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&folder).unwrap();
    for (name, cluster) in clusters() {
        let mut world = made(&cluster).await;
        world.settle().await;
        let path = folder.join(format!("{name}.yaml"));
        assert!(!path.exists(), "{} was recorded before", path.display());
        fs::write(path, serde_yaml_ng::to_string(&objects(&world)).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn an_upgrade_from_any_release_changes_no_template_and_restarts_no_pod() {
    let mut seen = 0;
    for release in fs::read_dir(folder()).unwrap() {
        for file in fs::read_dir(release.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let what = path.display().to_string();
            let recorded: Vec<Value> = serde_yaml_ng::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut world = upgraded(&recorded);
            // The pods of that time; nobody reconciles yet.
            world.kubelet.step();
            world.kubelet.step();
            let (pods, before) = (uids(&world), templates(&world));
            assert!(!pods.is_empty(), "{what}");
            world.api.writes();
            world.settle().await;
            assert_eq!(templates(&world), before, "{what}");
            assert_eq!(uids(&world), pods, "{what}");
            assert!(
                world.ready::<Broker>("mq/orders"),
                "{what}: {:#?}",
                world.conditions::<Broker>("mq/orders")
            );
            let sets: Vec<String> = world
                .api
                .writes()
                .into_iter()
                .filter(|write| write.contains("delete"))
                .collect();
            assert_eq!(sets, Vec::<String>::new(), "{what}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[tokio::test]
async fn labels_annotations_and_a_status_that_somebody_edited_restart_nothing() {
    let mut world = made(&clusters()["storage-class"]).await;
    let pods = uids(&world);
    let labels = json!({"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}});
    world.edit::<Broker>("mq/orders", &labels);
    world.edit::<NameService>("mq/names", &labels);
    world.edit_status::<Broker>(
        "mq/orders",
        &json!({"nodes": [], "replicas": 0, "conditions": []}),
    );
    world.edit_status::<NameService>("mq/names", &json!({"nameServers": [], "conditions": []}));
    world.settle().await;
    assert_eq!(uids(&world), pods);
    assert!(world.ready::<Broker>("mq/orders"));
    world.edit_status::<Broker>("mq/orders", &json!({"size": 0, "replicaPerGroup": null}));
    world.settle().await;
    assert_eq!(uids(&world), pods);
    assert_eq!(world.get::<Broker>("mq/orders").status.unwrap().size, 2);
}

fn env(values: &[(&str, &str)]) -> Value {
    let all: Vec<Value> = values
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({ "spec": { "env": all } })
}

#[tokio::test]
async fn a_list_of_variables_in_another_order_restarts_nothing_and_is_a_change_where_one_refers_to_another() {
    let (names, brokers) = clusters().remove("storage-class").unwrap();
    let mut world = made(&(names, brokers)).await;
    let pods = uids(&world);
    world.edit::<Broker>("mq/orders", &env(&[("A", "1"), ("B", "2")]));
    world.edit::<NameService>("mq/names", &json!({"spec": {"env": []}}));
    world.settle().await;
    assert_eq!(uids(&world), pods);
    let mut world = made(&(
        name_service("names"),
        broker("orders").storage_class("rocketmq-storage"),
    ))
    .await;
    world.edit::<Broker>("mq/orders", &env(&[("A", "1"), ("B", "$(A)")]));
    world.settle().await;
    let wanted = |world: &World| {
        let set = world.get::<StatefulSet>("mq/orders-0-master");
        set.annotations()["rocketmq.apache.org/intent"].clone()
    };
    let before = wanted(&world);
    world.edit::<Broker>("mq/orders", &env(&[("B", "$(A)"), ("A", "1")]));
    world.settle().await;
    assert_ne!(wanted(&world), before, "B would be another value");
}

#[tokio::test]
async fn what_says_the_same_in_other_words_restarts_nothing() {
    let mut world = made(&(
        name_service("names"),
        broker("orders").storage_class("rocketmq-storage"),
    ))
    .await;
    let pods = uids(&world);
    for same in [
        json!({"spec": {"env": [], "volumes": [], "volumeMounts": [], "tolerations": [], "imagePullSecrets": []}}),
        json!({"spec": {"nodeSelector": {}, "jvmOptions": "", "priorityClassName": "", "serviceAccountName": ""}}),
        json!({"spec": {"hostNetwork": false, "advertisedAddress": "Service", "config": {}}}),
    ] {
        world.edit::<Broker>("mq/orders", &same);
        world.settle().await;
        assert_eq!(uids(&world), pods, "{same}");
    }
}
