//! What every reconcile holds: the clients, the caches, and where to report.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;

use crate::admin::Admin;
use crate::api::{Broker, NameService};
use crate::k8s::Applied;
use crate::runtime::Metrics;

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
}

/// The caches, one per watched kind, each pruned to what the reconcilers read.
pub struct Stores {
    /// Every `NameService` in the watched namespaces.
    pub name_services: Store<NameService>,
    /// Every `Broker` in the watched namespaces.
    pub brokers: Store<Broker>,
    /// Every `StatefulSet`, without its pod template.
    pub stateful_sets: Store<StatefulSet>,
    /// Pods with label `app` in (`broker`, `name_service`), without their spec but for node name and container images.
    pub pods: Store<Pod>,
    /// Metadata of the Services that this operator manages.
    pub services: Store<PartialObjectMeta<Service>>,
    /// Metadata of every `ConfigMap`, for both our own and those that specs name.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
    /// Metadata of the PodDisruptionBudgets that this operator manages.
    pub disruption_budgets: Store<PartialObjectMeta<PodDisruptionBudget>>,
}
