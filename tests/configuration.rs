//! What a change of configuration, or of what pods mount, does to brokers that run, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use rocketmq_operator::admin::BrokerConfig;
use rocketmq_operator::api::{Broker, NameService};
use serde_json::{Value, json};
use support::fixtures::{BrokerFixture, name_service};
use support::rolling::{address, brokers, edit, lasting, roll, says, serving};
use support::world::World;

const ALL: [&str; 2] = ["orders-0-replica-1-0", "orders-0-master-0"];

fn config_map(name: &str, data: &Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "mq"}, "data": data})).unwrap()
}

/// A Broker that mounts a ConfigMap and a Secret, and takes a variable from another ConfigMap.
fn mounting() -> BrokerFixture {
    lasting().replicas(1).with(|spec| {
        let mut fields = json!({
            "volumes": [
                {"name": "acl", "configMap": {"name": "acl"}}, {"name": "tls", "secret": {"secretName": "tls"}}],
            "mounts": [{"name": "acl", "mountPath": "/acl"}, {"name": "tls", "mountPath": "/tls"}],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "a"}}}],
        });
        spec.volumes = serde_json::from_value(fields["volumes"].take()).unwrap();
        spec.volume_mounts = serde_json::from_value(fields["mounts"].take()).unwrap();
        spec.env = serde_json::from_value(fields["env"].take()).unwrap();
    })
}

async fn with_mounts() -> World {
    let world = World::default();
    world.apply::<ConfigMap>(config_map("acl", &json!({"plain_acl.yml": "one"})));
    world.apply::<ConfigMap>(config_map("env", &json!({"a": "1", "b": "1"})));
    let secret = json!({"metadata": {"name": "tls", "namespace": "mq"}, "data": {"key": "b25l"}});
    world.apply::<Secret>(serde_json::from_value::<Secret>(secret).unwrap());
    serving_in(world, mounting()).await
}

async fn serving_in(mut world: World, broker: BrokerFixture) -> World {
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

fn runs_with(world: &World, pod: &str) -> BrokerConfig {
    world
        .rocketmq
        .broker_at(&address(world, pod))
        .unwrap()
        .whole_config()
}

#[tokio::test]
async fn a_config_map_or_secret_that_pods_use_restarts_them_when_what_they_use_changes() {
    let mut world = with_mounts().await;
    world.edit::<ConfigMap>("mq/acl", &json!({"data": {"plain_acl.yml": "two"}}));
    assert_eq!(roll(&mut world).await, ALL);
    world.edit::<ConfigMap>("mq/env", &json!({"data": {"a": "2"}}));
    assert_eq!(roll(&mut world).await, ALL);
    world.edit::<Secret>("mq/tls", &json!({"data": {"key": "dHdv"}}));
    assert_eq!(roll(&mut world).await, ALL);
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert_eq!(world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_restarts_for_a_label_a_key_that_is_not_used_or_an_object_that_is_deleted() {
    let mut world = with_mounts().await;
    let before = brokers(&world);
    world.edit::<ConfigMap>("mq/acl", &json!({"metadata": {"labels": {"team": "billing"}}}));
    world.edit::<Secret>("mq/tls", &json!({"metadata": {"labels": {"team": "billing"}}}));
    world.edit::<ConfigMap>("mq/env", &json!({"data": {"b": "2"}}));
    world.settle().await;
    world.delete::<ConfigMap>("mq/acl");
    world.settle().await;
    world.restart_operator();
    world.settle().await;
    world.apply::<ConfigMap>(config_map("acl", &json!({"plain_acl.yml": "one"})));
    world.settle().await;
    assert_eq!(brokers(&world), before);
}

#[tokio::test]
async fn objects_of_a_release_that_noted_nothing_are_adopted_without_a_restart() {
    let mut world = with_mounts().await;
    let before = brokers(&world);
    let template = |world: &World| {
        let set = world.get::<StatefulSet>("mq/orders-0-master");
        set.spec.unwrap().template
    };
    let was = template(&world);
    for set in ["mq/orders-0-master", "mq/orders-0-replica-1"] {
        let keys = [
            "content",
            "restart-config-hash",
            "config-hash",
            "live-keys",
            "applied",
        ];
        let nothing: serde_json::Map<_, _> = keys
            .iter()
            .map(|key| (format!("rocketmq.apache.org/{key}"), Value::Null))
            .collect();
        world.edit::<StatefulSet>(set, &json!({"metadata": {"annotations": nothing}}));
    }
    world.restart_operator();
    world.settle().await;
    assert_eq!(brokers(&world), before);
    assert_eq!(template(&world), was);
    world.edit::<ConfigMap>("mq/acl", &json!({"data": {"plain_acl.yml": "two"}}));
    assert_eq!(roll(&mut world).await, ALL);
}

#[tokio::test]
async fn name_servers_restart_for_what_they_mount() {
    let world = World::default();
    world.apply::<ConfigMap>(config_map("logback", &json!({"x": "one"})));
    let mut world = world;
    world.apply::<NameService>(name_service("names").size(2).with(|spec| {
        let mut fields = json!({
            "volumes": [{"name": "log", "configMap": {"name": "logback"}}], "mounts": [{"name": "log", "mountPath": "/l"}]});
        spec.volumes = serde_json::from_value(fields["volumes"].take()).unwrap();
        spec.volume_mounts = serde_json::from_value(fields["mounts"].take()).unwrap();
    }));
    world.settle().await;
    let uids = |world: &World| ["mq/names-0", "mq/names-1"].map(|name| world.get::<Pod>(name).metadata.uid);
    let before = uids(&world);
    world.restart_operator();
    world.settle().await;
    assert_eq!(uids(&world), before);
    world.edit::<ConfigMap>("mq/logback", &json!({"data": {"x": "two"}}));
    world.settle().await;
    let after = uids(&world);
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
}

#[tokio::test]
async fn a_live_key_reaches_running_brokers_and_outlives_a_restart_of_one() {
    let world = World::default();
    let conf = |text: &str| json!({"broker-common.conf": text});
    world.apply::<ConfigMap>(config_map("conf", &conf("fileReservedTime=24")));
    let mut world = serving_in(world, lasting().replicas(1).common_config_from("conf")).await;
    let before = brokers(&world);
    let text = "# for a week\nfileReservedTime=168\nslaveReadEnable=true\n";
    world.edit::<ConfigMap>("mq/conf", &json!({"data": conf(text)}));
    edit(&world, &json!({"spec": {"config": {"transactionCheckMax": "7"}}}));
    world.settle().await;
    assert_eq!(brokers(&world), before);
    for pod in ALL {
        assert_eq!(
            runs_with(&world, pod).get("fileReservedTime"),
            Some("168"),
            "{pod}"
        );
    }
    world.delete::<Pod>("mq/orders-0-master-0");
    world.settle().await;
    let now = runs_with(&world, "orders-0-master-0");
    let keys = ["fileReservedTime", "slaveReadEnable", "transactionCheckMax"];
    assert_eq!(keys.map(|key| now.get(key).unwrap()), ["168", "true", "7"]);
}

#[tokio::test]
async fn other_keys_restart_brokers_and_live_ones_come_along() {
    let mut world = serving(lasting().replicas(1).config("fileReservedTime", "24")).await;
    let both = json!({"spec": {"config": {"fileReservedTime": "72", "sendMessageThreadPoolNums": "8"}}});
    edit(&world, &both);
    assert_eq!(roll(&mut world).await, ALL);
    let now = runs_with(&world, "orders-0-master-0");
    assert_eq!(now.get("sendMessageThreadPoolNums"), Some("8"));
    assert_eq!(now.get("fileReservedTime"), Some("72"));
}

#[tokio::test]
async fn a_live_key_that_is_taken_away_goes_back_to_the_default_without_a_restart() {
    let mut world = serving(
        lasting()
            .config("transactionCheckMax", "7")
            .config("deleteWhen", "05"),
    )
    .await;
    let before = brokers(&world);
    edit(
        &world,
        &json!({"spec": {"config": {"transactionCheckMax": null, "deleteWhen": null}}}),
    );
    world.settle().await;
    let now = runs_with(&world, "orders-0-master-0");
    assert_eq!(now.get("transactionCheckMax"), Some("15"));
    assert_eq!(now.get("deleteWhen"), Some("04"));
    assert_eq!(brokers(&world), before);
    let set = world.get::<StatefulSet>("mq/orders-0-master");
    let annotations = set.metadata.annotations.unwrap();
    assert_eq!(annotations.get("rocketmq.apache.org/live-keys"), None);
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_told_and_put_back() {
    let mut world = serving(lasting().config("fileReservedTime", "24")).await;
    let master = address(&world, "orders-0-master-0");
    let by_hand = |key: &'static str| {
        world
            .rocketmq
            .becomes(&master, move |broker| broker.config(key, "1"));
    };
    by_hand("fileReservedTime");
    by_hand("waitTimeMillsInSendQueue");
    world.reconcile_all().await.unwrap();
    says(
        &world,
        "Progressing=True Drift: orders-0-master-0 was changed by hand: fileReservedTime are put back",
    );
    assert!(world.events().iter().any(|event| event.contains("Drift")));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
    let now = runs_with(&world, "orders-0-master-0");
    assert_eq!(now.get("fileReservedTime"), Some("24"));
    // Nobody set that one.
    assert_eq!(now.get("waitTimeMillsInSendQueue"), Some("1"));
}

#[tokio::test]
async fn another_listen_port_reaches_brokers_one_by_one_and_each_is_asked_where_it_listens() {
    let mut world = serving(lasting().replicas(1)).await;
    edit(&world, &json!({"spec": {"config": {"listenPort": "20911"}}}));
    let ports = |world: &World, name: &str| -> Vec<i32> {
        let spec = world.get::<Service>(&format!("mq/{name}")).spec.unwrap();
        spec.ports.unwrap().iter().map(|port| port.port).collect()
    };
    world.reconcile_all().await.unwrap();
    assert_eq!(ports(&world, "orders-0-master"), [10909, 10911, 10912]);
    assert_eq!(roll(&mut world).await, ALL);
    world.settle().await;
    assert_eq!(ports(&world, "orders-0-master"), [20909, 20911, 20912]);
    assert_eq!(ports(&world, "orders-0-replica-1"), [20909, 20911, 20912]);
}
