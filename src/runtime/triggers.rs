//! Which `Broker`, `NameService` or `TopicTransfer` to reconcile when something changed. All of it is a function of what changed and
//! of the caches.

use std::fmt::Debug;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Pod, Volume};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

use super::streams::Change;
use crate::api::{Broker, BrokerSpec, NameService, NameServiceSpec, TopicTransfer};
use crate::k8s::labels::{BROKER_CR, NAME_SERVICE_CR};

/// The way to the reconcilers.
#[derive(Clone)]
pub(super) struct Triggers {
    name_services: Queue<NameService>,
    brokers: Queue<Broker>,
    topic_transfers: Queue<TopicTransfer>,
}

/// What is to be reconciled, by kind.
pub(super) struct Due {
    pub(super) name_services: UnboundedReceiver<ObjectRef<NameService>>,
    pub(super) brokers: UnboundedReceiver<ObjectRef<Broker>>,
    pub(super) topic_transfers: UnboundedReceiver<ObjectRef<TopicTransfer>>,
}

/// One reconciler's queue, and the cache of the objects that it reconciles.
struct Queue<K: Resource<DynamicType = ()> + Clone + 'static> {
    cache: Store<K>,
    due: UnboundedSender<ObjectRef<K>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            due: self.due.clone(),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + Debug + 'static> Queue<K> {
    fn new(cache: Store<K>) -> (Self, UnboundedReceiver<ObjectRef<K>>) {
        let (due, queue) = unbounded();
        (Self { cache, due }, queue)
    }

    /// Queues an object. The queue drops repeats of one that waits; a reconciler that is gone needs nothing.
    fn push(&self, object: ObjectRef<K>) {
        let _ = self.due.unbounded_send(object);
    }

    /// Queues both owners if a change moved an object from one to the other.
    fn push_each(&self, objects: impl Iterator<Item = ObjectRef<K>>) {
        let mut last = None;
        for object in objects {
            if last.as_ref() != Some(&object) {
                self.push(object.clone());
                last = Some(object);
            }
        }
    }

    fn push_where(&self, wanted: impl Fn(&K) -> bool) {
        for object in self.cache.state_filter(wanted) {
            self.push(ObjectRef::from(object.as_ref()));
        }
    }
}

impl Triggers {
    /// The triggers, and the queues that they fill.
    pub(super) fn new(
        name_services: Store<NameService>,
        brokers: Store<Broker>,
        topic_transfers: Store<TopicTransfer>,
    ) -> (Self, Due) {
        let (name_services, due_name_services) = Queue::new(name_services);
        let (brokers, due_brokers) = Queue::new(brokers);
        let (topic_transfers, due_topic_transfers) = Queue::new(topic_transfers);
        let due = Due {
            name_services: due_name_services,
            brokers: due_brokers,
            topic_transfers: due_topic_transfers,
        };
        let triggers = Self {
            name_services,
            brokers,
            topic_transfers,
        };
        (triggers, due)
    }

    /// A `NameService` concerns itself if its user changed it, and by spec or status the brokers that may use it.
    pub(super) fn name_service(&self, change: Change<'_, NameService>) {
        if by_user(change) {
            self.name_services.push_each(change.sides().map(ObjectRef::from));
        }
        self.brokers
            .push_where(|broker| change.sides().any(|name_service| may_use(broker, name_service)));
    }

    /// A `TopicTransfer` concerns itself if its user changed it.
    pub(super) fn topic_transfer(&self, change: Change<'_, TopicTransfer>) {
        if by_user(change) {
            self.topic_transfers
                .push_each(change.sides().map(ObjectRef::from));
        }
    }

    /// A `Broker` concerns itself if its user changed it, the transfers that wait for one of its name if it appeared or went,
    /// and the name servers of its namespace if it came to use others:
    /// those that go wait until no broker uses them.
    pub(super) fn broker(&self, change: Change<'_, Broker>) {
        if by_user(change) {
            self.brokers.push_each(change.sides().map(ObjectRef::from));
        }
        if change.before.is_none() || change.after.is_none() {
            self.topic_transfers
                .push_where(|transfer| change.sides().any(|broker| moves_from_or_to(transfer, broker)));
        }
        if change.before.map(uses_name_servers) != change.after.map(uses_name_servers) {
            self.name_services.push_where(|name_service| {
                change
                    .sides()
                    .any(|broker| broker.namespace() == name_service.namespace())
            });
        }
    }

    /// Anything else concerns the custom resource that controls it.
    pub(super) fn owned<K: Resource<DynamicType = ()>>(&self, change: Change<'_, K>) {
        self.name_services
            .push_each(change.sides().filter_map(controller));
        self.brokers.push_each(change.sides().filter_map(controller));
    }

    /// A pod concerns the custom resource that its labels name.
    pub(super) fn pod(&self, change: Change<'_, Pod>) {
        self.name_services
            .push_each(change.sides().filter_map(|pod| named(pod, NAME_SERVICE_CR)));
        self.brokers
            .push_each(change.sides().filter_map(|pod| named(pod, BROKER_CR)));
    }

    /// A `ConfigMap` concerns who controls it, and those whose spec names it.
    pub(super) fn config_map(&self, change: Change<'_, PartialObjectMeta<ConfigMap>>) {
        self.owned(change);
        let Some(map) = change.sides().last() else { return };
        let (namespace, name) = (map.namespace(), map.name_any());
        self.name_services
            .push_where(|object| object.namespace() == namespace && name_service_names(&object.spec, &name));
        self.brokers
            .push_where(|object| object.namespace() == namespace && broker_names(&object.spec, &name));
    }
}

/// Whether a custom resource appeared, went, or was changed by others than us: a new status alone is our own
/// doing.
fn by_user<K: Resource>(change: Change<'_, K>) -> bool {
    let (Some(before), Some(after)) = (change.before, change.after) else {
        return true;
    };
    let (before, after) = (before.meta(), after.meta());
    before.uid != after.uid
        || before.generation != after.generation
        || before.deletion_timestamp != after.deletion_timestamp
        || before.labels != after.labels
        || before.annotations != after.annotations
        || before.finalizers != after.finalizers
        || before.owner_references != after.owner_references
}

/// All by which a `NameService` tells which of its name servers a `Broker` uses.
fn uses_name_servers(broker: &Broker) -> impl PartialEq {
    let status = broker.status.as_ref();
    (
        (broker.spec.name_service.clone(), broker.spec.name_servers.clone()),
        status.and_then(|status| status.name_servers.clone()),
        status.is_some_and(|status| status.size > 0),
        broker.metadata.deletion_timestamp.is_some(),
    )
}

fn moves_from_or_to(transfer: &TopicTransfer, broker: &Broker) -> bool {
    let name = broker.name_any();
    let spec = &transfer.spec;
    transfer.namespace() == broker.namespace() && (spec.source_cluster == name || spec.target_cluster == name)
}

/// Whether a broker might take its name servers from this `NameService`.
fn may_use(broker: &Broker, name_service: &NameService) -> bool {
    let named = broker.spec.name_service.as_deref();
    broker.namespace() == name_service.namespace()
        && broker.spec.name_servers.is_none()
        && named.is_none_or(|named| name_service.metadata.name.as_deref() == Some(named))
}

fn controller<K, O>(object: &K) -> Option<ObjectRef<O>>
where
    K: Resource<DynamicType = ()>,
    O: Resource<DynamicType = ()>,
{
    let meta = object.meta();
    let owner = meta
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))?;
    ObjectRef::from_owner_ref(meta.namespace.as_deref(), owner, ())
}

fn named<O: Resource<DynamicType = ()>>(pod: &Pod, label: &str) -> Option<ObjectRef<O>> {
    let name = pod.labels().get(label)?;
    Some(ObjectRef::new(name).within(pod.metadata.namespace.as_deref()?))
}

fn broker_names(spec: &BrokerSpec, config_map: &str) -> bool {
    spec.volumes
        .iter()
        .flatten()
        .any(|volume| volume_names(volume, config_map))
        || spec.env.iter().flatten().any(|env| env_names(env, config_map))
}

fn name_service_names(spec: &NameServiceSpec, config_map: &str) -> bool {
    spec.volumes
        .iter()
        .flatten()
        .any(|volume| volume_names(volume, config_map))
        || spec.env.iter().flatten().any(|env| env_names(env, config_map))
}

fn volume_names(volume: &Volume, config_map: &str) -> bool {
    let direct = volume.config_map.as_ref().map(|source| source.name.as_str());
    let projected = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    let mut names = direct
        .into_iter()
        .chain(projected.filter_map(|source| Some(source.config_map.as_ref()?.name.as_str())));
    names.any(|name| name == config_map)
}

fn env_names(env: &EnvVar, config_map: &str) -> bool {
    let key = env
        .value_from
        .as_ref()
        .and_then(|from| from.config_map_key_ref.as_ref());
    key.is_some_and(|key| key.name == config_map)
}

#[cfg(test)]
mod tests {
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
        serde_json::from_value(
            json!({"metadata": {"name": "s", "namespace": "mq", "ownerReferences": [owner]}}),
        )
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
        let elsewhere =
            serde_json::from_value(json!({"metadata": {"name": "acl", "namespace": "x"}})).unwrap();
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
}
