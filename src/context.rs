//! What every reconcile holds: the clients, the caches, and where to report.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};

use crate::admin::Admin;
use crate::api::{Broker, NameService, TopicTransfer};
use crate::k8s::Applied;
use crate::k8s::labels::{self, Labels};
use crate::runtime::Metrics;
use crate::workload::texts::Texts;

/// What every reconcile holds. One per process, shared by all reconcilers; it carries no cluster's data but
/// what the caches mirror from the API server.
pub struct Context {
    /// The Kubernetes client for requests; watches use one of their own.
    pub client: Client,
    /// The way to ask RocketMQ.
    pub admin: Arc<dyn Admin>,
    /// Publishes Kubernetes events, best effort.
    pub recorder: Recorder,
    /// Every metric of the process.
    pub metrics: Arc<Metrics>,
    /// Mirrors of what the API server holds; they may lag, so what destroys reads again first.
    pub stores: Stores,
    /// What was last applied, so that nothing is written twice.
    pub applied: Applied,
    /// The configuration texts that specs name, as last read.
    pub texts: Texts,
}

/// The caches, one per watched kind, each pruned to what the reconcilers read.
pub struct Stores {
    /// Every `NameService` in the watched namespaces.
    pub name_services: Store<NameService>,
    /// Every `Broker` in the watched namespaces.
    pub brokers: Store<Broker>,
    /// Every `TopicTransfer` in the watched namespaces.
    pub topic_transfers: Store<TopicTransfer>,
    /// Every `StatefulSet`, without its pod template.
    pub stateful_sets: Store<StatefulSet>,
    /// Pods with label `app` in (`broker`, `name_service`), without their spec but for node name, container images and ports.
    pub pods: Store<Pod>,
    /// The Services that this operator manages, without their spec but for `clusterIP`.
    pub services: Store<Service>,
    /// Metadata of every `ConfigMap`, for both our own and those that specs name.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
    /// Metadata of the PodDisruptionBudgets that this operator manages.
    pub disruption_budgets: Store<PartialObjectMeta<PodDisruptionBudget>>,
}

/// The object of that name, as the store holds it.
#[must_use]
pub fn get<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace))
}

impl Stores {
    /// Whether a custom resource with that UID is still there.
    #[must_use]
    pub fn has_owner(&self, uid: &str) -> bool {
        let is = |meta: &kube::api::ObjectMeta| meta.uid.as_deref() == Some(uid);
        self.brokers.find(|broker| is(&broker.metadata)).is_some()
            || self.name_services.find(|service| is(&service.metadata)).is_some()
    }

    /// The pod of that name, if it belongs to that StatefulSet, or to none and is about to.
    #[must_use]
    pub fn pod_of_set(&self, namespace: &str, name: &str, set: &StatefulSet) -> Option<Arc<Pod>> {
        let found = get(&self.pods, namespace, name)?;
        let owned = found
            .owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
        if owned {
            return Some(found);
        }
        let selector = set.spec.as_ref()?.selector.match_labels.as_ref()?;
        self.orphan(namespace, name, selector)
    }

    /// The pod of that name with these labels that belongs to nobody: its StatefulSet is being made anew around it.
    #[must_use]
    pub fn orphan(&self, namespace: &str, name: &str, selector: &Labels) -> Option<Arc<Pod>> {
        get(&self.pods, namespace, name).filter(|pod| {
            pod.owner_references().is_empty()
                && !selector.is_empty()
                && labels::contain(Some(pod.labels()), selector)
        })
    }
}
