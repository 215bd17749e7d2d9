use futures::FutureExt;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::runtime::streams::cache;

/// A namespace `mq` with Brokers and NameServices, and the queues of their reconcilers.
struct World {
    triggers: Triggers,
    due_name_services: UnboundedReceiver<ObjectRef<NameService>>,
    due_brokers: UnboundedReceiver<ObjectRef<Broker>>,
    due_topic_transfers: UnboundedReceiver<ObjectRef<TopicTransfer>>,
    name_services: Writer<NameService>,
    brokers: Writer<Broker>,
    topic_transfers: Writer<TopicTransfer>,
}

fn world() -> World {
    let (name_service_store, name_services) = cache();
    let (broker_store, brokers) = cache();
    let (topic_transfer_store, topic_transfers) = cache();
    let (triggers, due) = Triggers::new(name_service_store, broker_store, topic_transfer_store);
    World {
        triggers,
        due_name_services: due.name_services,
        due_brokers: due.brokers,
        due_topic_transfers: due.topic_transfers,
        name_services,
        brokers,
        topic_transfers,
    }
}

impl World {
    fn with_broker(mut self, name: &str, spec: &Value) -> Self {
        self.brokers
            .apply_watcher_event(&Event::Apply(object(name, &json!({"spec": spec.clone()}))));
        self
    }

    fn with_name_service(mut self, name: &str, spec: &Value) -> Self {
        self.name_services
            .apply_watcher_event(&Event::Apply(object(name, &json!({"spec": spec.clone()}))));
        self
    }

    fn with_topic_transfer(mut self, name: &str, spec: &Value) -> Self {
        self.topic_transfers
            .apply_watcher_event(&Event::Apply(object(name, &json!({"spec": spec.clone()}))));
        self
    }

    /// What was queued since last asked: `Kind namespace/name`, sorted.
    fn due(&mut self) -> Vec<String> {
        let mut due = Vec::new();
        while let Some(Some(object)) = self.due_name_services.next().now_or_never() {
            due.push(format!(
                "NameService {}/{}",
                object.namespace.unwrap(),
                object.name
            ));
        }
        while let Some(Some(object)) = self.due_brokers.next().now_or_never() {
            due.push(format!("Broker {}/{}", object.namespace.unwrap(), object.name));
        }
        while let Some(Some(object)) = self.due_topic_transfers.next().now_or_never() {
            due.push(format!(
                "TopicTransfer {}/{}",
                object.namespace.unwrap(),
                object.name
            ));
        }
        due.sort();
        due
    }
}

fn object<K: DeserializeOwned>(name: &str, more: &Value) -> K {
    let mut object = json!({"metadata": {"name": name, "namespace": "mq"}, "spec": {}});
    merge(&mut object, more);
    serde_json::from_value(object).unwrap()
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn created<K>(after: &K) -> Change<'_, K> {
    Change {
        before: None,
        after: Some(after),
    }
}

fn deleted<K>(before: &K) -> Change<'_, K> {
    Change {
        before: Some(before),
        after: None,
    }
}

fn changed<'a, K>(before: &'a K, after: &'a K) -> Change<'a, K> {
    Change {
        before: Some(before),
        after: Some(after),
    }
}

fn set(owner_kind: &str, owner: &str) -> StatefulSet {
    let owner = json!({
        "apiVersion": "rocketmq.apache.org/v1alpha1", "kind": owner_kind, "name": owner, "uid": "u",
        "controller": true,
    });
    serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "mq", "ownerReferences": [owner]}}))
        .unwrap()
}

#[test]
fn a_broker_is_reconciled_when_its_user_changes_it_but_not_for_its_own_status() {
    let mut world = world();
    let first: Broker = object("b", &json!({"metadata": {"generation": 1}}));
    world.triggers.broker(created(&first));
    assert_eq!(world.due(), ["Broker mq/b"]);
    let reported: Broker = object(
        "b",
        &json!({"metadata": {"generation": 1}, "status": {"size": 1}}),
    );
    world.triggers.broker(changed(&first, &reported));
    assert!(world.due().is_empty());
    for edit in [
        json!({"metadata": {"generation": 2}}),
        json!({"metadata": {"generation": 1, "annotations": {"rocketmq.apache.org/paused": "true"}}}),
        json!({"metadata": {"generation": 1, "labels": {"team": "a"}}}),
        json!({"metadata": {"generation": 1, "uid": "another"}}),
        json!({"metadata": {"generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    ] {
        world.triggers.broker(changed(&first, &object("b", &edit)));
        assert_eq!(world.due(), ["Broker mq/b"], "{edit}");
    }
    world.triggers.broker(deleted(&first));
    assert_eq!(world.due(), ["Broker mq/b"]);
}

#[test]
fn a_broker_that_leaves_name_servers_concerns_those_of_its_namespace() {
    let mut world = world().with_name_service("n", &json!({}));
    let at = |list: &str| json!({"status": {"size": 1, "nameServers": list}});
    let (both, one): (Broker, Broker) = (
        object("b", &at("n-0:9876;n-1:9876")),
        object("b", &at("n-0:9876")),
    );
    world.triggers.broker(changed(&both, &one));
    assert_eq!(world.due(), ["NameService mq/n"]);
    world.triggers.broker(changed(&one, &one));
    assert!(world.due().is_empty());
    world.triggers.broker(deleted(&one));
    assert_eq!(world.due(), ["Broker mq/b", "NameService mq/n"]);
    let mut elsewhere = one;
    elsewhere.metadata.namespace = Some("other".to_owned());
    world.triggers.broker(created(&elsewhere));
    assert_eq!(world.due(), ["Broker other/b"]);
}

#[test]
fn a_name_service_concerns_the_brokers_of_its_namespace_that_may_use_it() {
    let mut world = world()
        .with_broker("finds-it", &json!({}))
        .with_broker("names-it", &json!({"nameService": "n"}))
        .with_broker("names-another", &json!({"nameService": "other"}))
        .with_broker("knows-addresses", &json!({"nameServers": "198.18.0.1:9876"}));
    let before: NameService = object("n", &json!({}));
    let after: NameService = object("n", &json!({"status": {"nameServers": ["198.18.0.1"]}}));
    world.triggers.name_service(changed(&before, &after));
    assert_eq!(world.due(), ["Broker mq/finds-it", "Broker mq/names-it"]);
    world.triggers.name_service(deleted(&after));
    assert_eq!(
        world.due(),
        ["Broker mq/finds-it", "Broker mq/names-it", "NameService mq/n"]
    );
    let elsewhere: NameService = object("n", &json!({"metadata": {"namespace": "other"}}));
    world.triggers.name_service(created(&elsewhere));
    assert_eq!(world.due(), ["NameService other/n"]);
}

#[test]
fn a_child_concerns_its_controller_also_when_it_is_deleted() {
    let mut world = world();
    world.triggers.owned(created(&set("Broker", "b")));
    assert_eq!(world.due(), ["Broker mq/b"]);
    world.triggers.owned(deleted(&set("NameService", "n")));
    assert_eq!(world.due(), ["NameService mq/n"]);
}

#[test]
fn a_child_that_changes_hands_concerns_both_owners() {
    let mut world = world();
    world
        .triggers
        .owned(changed(&set("Broker", "a"), &set("Broker", "b")));
    assert_eq!(world.due(), ["Broker mq/a", "Broker mq/b"]);
    world
        .triggers
        .owned(changed(&set("Broker", "a"), &set("Broker", "a")));
    assert_eq!(world.due(), ["Broker mq/a"]);
}

#[test]
fn a_child_of_another_operators_broker_concerns_nobody() {
    let mut world = world();
    let mut theirs = set("Broker", "b");
    theirs.metadata.owner_references.as_mut().unwrap()[0].api_version = "example.com/v1".to_owned();
    world.triggers.owned(created(&theirs));
    let mut not_controlled = set("Broker", "b");
    not_controlled.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    world.triggers.owned(created(&not_controlled));
    assert!(world.due().is_empty());
}

#[test]
fn a_pod_concerns_the_resource_that_its_labels_name() {
    let mut world = world();
    let broker: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "mq", "labels": {"app": "broker", "broker_cr": "b"}},
    }))
    .unwrap();
    let name_server: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "mq", "labels": {"app": "name_service", "name_service_cr": "n"}},
    }))
    .unwrap();
    world.triggers.pod(created(&broker));
    world.triggers.pod(deleted(&name_server));
    assert_eq!(world.due(), ["Broker mq/b", "NameService mq/n"]);
}

#[test]
fn a_config_map_concerns_those_of_its_namespace_whose_spec_names_it() {
    let volume = |name: &str| json!({"name": "v", "configMap": {"name": name}});
    let projected = json!({"name": "v", "projected": {"sources": [{"configMap": {"name": "acl"}}]}});
    let env = json!({"name": "E", "valueFrom": {"configMapKeyRef": {"name": "acl", "key": "k"}}});
    let mut world = world()
        .with_broker("mounts", &json!({"volumes": [volume("other"), volume("acl")]}))
        .with_broker("projects", &json!({"volumes": [projected]}))
        .with_broker("reads", &json!({"env": [env]}))
        .with_broker("none", &json!({"volumes": [volume("other")]}))
        .with_name_service("n", &json!({"volumes": [volume("acl")]}));
    let map: PartialObjectMeta<ConfigMap> =
        serde_json::from_value(json!({"metadata": {"name": "acl", "namespace": "mq"}})).unwrap();
    for change in [created(&map), deleted(&map), changed(&map, &map)] {
        world.triggers.config_map(change);
        assert_eq!(
            world.due(),
            [
                "Broker mq/mounts",
                "Broker mq/projects",
                "Broker mq/reads",
                "NameService mq/n"
            ]
        );
    }
    let elsewhere = serde_json::from_value(json!({"metadata": {"name": "acl", "namespace": "x"}})).unwrap();
    world.triggers.config_map(created(&elsewhere));
    assert!(world.due().is_empty());
}

#[test]
fn a_transfer_is_reconciled_for_its_user_and_when_a_broker_that_it_names_appears_or_goes() {
    let mut world = world()
        .with_topic_transfer(
            "from",
            &json!({"topic": "t", "sourceCluster": "b", "targetCluster": "x"}),
        )
        .with_topic_transfer(
            "to",
            &json!({"topic": "t", "sourceCluster": "x", "targetCluster": "b"}),
        )
        .with_topic_transfer(
            "other",
            &json!({"topic": "t", "sourceCluster": "x", "targetCluster": "y"}),
        );
    let broker: Broker = object("b", &json!({}));
    for change in [created(&broker), deleted(&broker)] {
        world.triggers.broker(change);
        let due = world.due();
        let transfers: Vec<_> = due
            .iter()
            .filter(|due| due.starts_with("TopicTransfer"))
            .collect();
        assert_eq!(transfers, ["TopicTransfer mq/from", "TopicTransfer mq/to"]);
    }
    world.triggers.broker(changed(&broker, &broker));
    assert!(world.due().is_empty());
    let transfer: TopicTransfer = object("from", &json!({"metadata": {"generation": 1}}));
    let told: TopicTransfer = object(
        "from",
        &json!({"metadata": {"generation": 1}, "status": {"phase": "Copying"}}),
    );
    world.triggers.topic_transfer(changed(&transfer, &told));
    assert!(world.due().is_empty(), "its status is our own doing");
    world.triggers.topic_transfer(created(&transfer));
    assert_eq!(world.due(), ["TopicTransfer mq/from"]);
}
