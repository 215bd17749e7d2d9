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
#[path = "triggers_tests.rs"]
mod tests;
