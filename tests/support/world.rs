//! A whole world: a Kubernetes, a RocketMQ, and the operator's reconcilers in it, moved by hand.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::core::{PartialObjectMeta, Resource};
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use rocketmq_operator::admin::fake::FakeRocketMq;
use rocketmq_operator::api::{Broker, NameService, TopicTransfer};
use rocketmq_operator::context::{Context, Stores};
use rocketmq_operator::error::Error;
use rocketmq_operator::k8s::Applied;
use rocketmq_operator::runtime::{Metrics, prune};
use rocketmq_operator::workload::texts::Texts;
use rocketmq_operator::{broker, name_service, topic_transfer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::FakeApi;
use super::kubelet::Kubelet;
use super::merge::labels_match;
use super::objects::Preconditions;

/// After so many rounds a world that still changes is taken to change for ever.
const PATIENCE: usize = 60;

/// A Kubernetes, a RocketMQ and the operator.
pub struct World {
    pub api: FakeApi,
    pub rocketmq: FakeRocketMq,
    pub kubelet: Kubelet,
    operator: Operator,
}

impl Default for World {
    fn default() -> Self {
        let (api, rocketmq) = (FakeApi::default(), FakeRocketMq::default());
        let kubelet = Kubelet::new(api.clone(), rocketmq.clone());
        let operator = Operator::start(&api, &rocketmq);
        Self {
            api,
            rocketmq,
            kubelet,
            operator,
        }
    }
}

impl World {
    /// What a user applies: created, or changed to this. Its name is in namespace `mq` unless it says otherwise.
    pub fn apply<K: Resource<DynamicType = ()> + Serialize>(&self, object: impl Into<K>) {
        let object: K = object.into();
        let name = format!(
            "{}/{}",
            object.meta().namespace.as_deref().unwrap_or("mq"),
            object.name_any()
        );
        let mut intent = json!(object);
        intent["apiVersion"] = json!(K::api_version(&()));
        self.api
            .objects(|objects| objects.apply(&FakeApi::key::<K>(&name), "kubectl", intent, false))
            .unwrap();
    }

    /// What a user edits in an object that is there.
    pub fn edit<K: Resource<DynamicType = ()>>(&self, name: &str, patch: &Value) {
        self.api
            .objects(|objects| objects.patch(&FakeApi::key::<K>(name), patch, false))
            .unwrap();
    }

    /// What somebody with the right to it writes into the status of an object.
    pub fn edit_status<K: Resource<DynamicType = ()>>(&self, name: &str, status: &Value) {
        let patch = json!({ "status": status });
        self.api
            .objects(|objects| objects.patch(&FakeApi::key::<K>(name), &patch, true))
            .unwrap();
    }

    /// What a user deletes, with all that it owns.
    pub fn delete<K: Resource<DynamicType = ()>>(&self, name: &str) {
        let key = FakeApi::key::<K>(name);
        self.api
            .objects(|objects| objects.delete(&key, &Preconditions::default(), false))
            .unwrap();
    }

    /// The object called `namespace/name`, which is there.
    pub fn get<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, name: &str) -> K {
        self.find(name)
            .unwrap_or_else(|| panic!("there is no {} {name}", K::kind(&())))
    }

    /// The object called `namespace/name`, if it is there.
    pub fn find<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, name: &str) -> Option<K> {
        self.api.find(name)
    }

    /// The names of all objects of a kind in namespace `mq`.
    pub fn names<K: Resource<DynamicType = ()> + DeserializeOwned>(&self) -> Vec<String> {
        let here = |object: &K| object.meta().namespace.as_deref() == Some("mq");
        self.api
            .all::<K>()
            .into_iter()
            .filter(here)
            .map(|object| object.name_any())
            .collect()
    }

    /// `Ready=True Serving: ...` of a custom resource, one line a condition.
    pub fn conditions<K: Resource<DynamicType = ()> + DeserializeOwned + Serialize>(
        &self,
        name: &str,
    ) -> Vec<String> {
        let status = json!(self.get::<K>(name))["status"]["conditions"].clone();
        let conditions: Vec<Condition> = serde_json::from_value(status).unwrap_or_default();
        let line = |one: Condition| format!("{}={} {}: {}", one.type_, one.status, one.reason, one.message);
        conditions.into_iter().map(line).collect()
    }

    /// Whether a custom resource's condition `Ready` is true.
    pub fn ready<K: Resource<DynamicType = ()> + DeserializeOwned + Serialize>(&self, name: &str) -> bool {
        self.conditions::<K>(name)
            .iter()
            .any(|line| line.starts_with("Ready=True"))
    }

    /// `Warning ImagePullFailed: ...` of each event that was told, oldest first.
    pub fn events(&self) -> Vec<String> {
        let line = |event: Value| {
            format!(
                "{} {}: {}",
                text(&event["type"]),
                text(&event["reason"]),
                text(&event["note"])
            )
        };
        self.api.objects(|objects| {
            objects
                .list("events.k8s.io", "events", "")
                .cloned()
                .map(line)
                .collect()
        })
    }

    /// One reconcile of the Broker `namespace/name` with caches that are up to date.
    pub async fn reconcile_broker(&mut self, name: &str) -> Result<Action, Error> {
        self.operator.refresh(&self.api);
        self.reconcile_broker_with_old_caches(name).await
    }

    /// One reconcile of the NameService `namespace/name` with caches that are up to date.
    pub async fn reconcile_name_service(&mut self, name: &str) -> Result<Action, Error> {
        self.operator.refresh(&self.api);
        self.reconcile_name_service_with_old_caches(name).await
    }

    /// One reconcile that sees what the caches held at the last one.
    pub async fn reconcile_broker_with_old_caches(&mut self, name: &str) -> Result<Action, Error> {
        let broker = cached(&self.operator.context.stores.brokers, name);
        Box::pin(broker::reconcile(broker, self.operator.context.clone())).await
    }

    /// One reconcile that sees what the caches held at the last one.
    pub async fn reconcile_name_service_with_old_caches(&mut self, name: &str) -> Result<Action, Error> {
        let name_service = cached(&self.operator.context.stores.name_services, name);
        Box::pin(name_service::reconcile(
            name_service,
            self.operator.context.clone(),
        ))
        .await
    }

    /// One reconcile of the TopicTransfer `namespace/name`, if it is there, with caches that are up to date.
    pub async fn reconcile_transfer(&mut self, name: &str) -> Result<Action, Error> {
        self.operator.refresh(&self.api);
        self.reconcile_transfer_with_old_caches(name).await
    }

    /// One reconcile that sees what the caches held at the last one.
    pub async fn reconcile_transfer_with_old_caches(&mut self, name: &str) -> Result<Action, Error> {
        let transfer = cached(&self.operator.context.stores.topic_transfers, name);
        Box::pin(topic_transfer::reconcile(transfer, self.operator.context.clone())).await
    }

    /// Every NameService, then every Broker, then every TopicTransfer, once. The first error ends it.
    pub async fn reconcile_all(&mut self) -> Result<(), Error> {
        for one in self.api.all::<NameService>() {
            self.reconcile_name_service(&full_name(&one)).await?;
        }
        for one in self.api.all::<Broker>() {
            self.reconcile_broker(&full_name(&one)).await?;
        }
        for one in self.api.all::<TopicTransfer>() {
            self.reconcile_transfer(&full_name(&one)).await?;
        }
        Ok(())
    }

    /// Reconciles and moves the pods on until nothing changes any more. Errors are tried again.
    pub async fn settle(&mut self) {
        for _ in 0..PATIENCE {
            let before = self.api.objects(|objects| objects.version());
            let done = self.reconcile_all().await;
            self.kubelet.step();
            if done.is_ok() && self.api.objects(|objects| objects.version()) == before {
                return;
            }
        }
        panic!(
            "still changing after {PATIENCE} rounds: {:#?}",
            self.api.changes()
        );
    }

    /// As `settle`, but until the crash that was asked for; without one it is as `settle`.
    pub async fn run_until_crash(&mut self) {
        for _ in 0..PATIENCE {
            let before = self.api.objects(|objects| objects.version());
            let done = self.reconcile_all().await;
            if self.api.has_crashed() {
                return;
            }
            self.kubelet.step();
            if done.is_ok() && self.api.objects(|objects| objects.version()) == before {
                return;
            }
        }
        panic!(
            "still changing after {PATIENCE} rounds: {:#?}",
            self.api.changes()
        );
    }

    /// The operator's process ends and another starts, knowing nothing.
    pub fn restart_operator(&mut self) {
        self.operator = Operator::start(&self.api, &self.rocketmq);
    }

    /// All objects but events as they are, without what differs from run to run: to compare two worlds.
    pub fn snapshot(&self) -> Vec<Value> {
        self.api.objects(|objects| {
            let all = objects.everything().filter(|object| object["kind"] != "Event");
            let mut snapshot: Vec<_> = all.cloned().collect();
            snapshot.iter_mut().for_each(forget_accidents);
            snapshot
        })
    }
}

/// Removes versions, identities and times.
fn forget_accidents(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in [
                "resourceVersion",
                "uid",
                "creationTimestamp",
                "lastTransitionTime",
                "generation",
                "observedGeneration",
            ] {
                fields.remove(field);
            }
            fields.values_mut().for_each(forget_accidents);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_accidents),
        _ => {}
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn full_name<K: Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn cached<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &reflector::Store<K>,
    name: &str,
) -> Arc<K> {
    let (namespace, short) = name.split_once('/').unwrap_or(("mq", name));
    let found = rocketmq_operator::context::get(store, namespace, short);
    found.unwrap_or_else(|| panic!("the caches hold no {} {name}", K::kind(&())))
}

/// One process of the operator, without its watches: its caches are filled by hand, pruned as the real ones.
struct Operator {
    context: Arc<Context>,
    name_services: Writer<NameService>,
    brokers: Writer<Broker>,
    topic_transfers: Writer<TopicTransfer>,
    stateful_sets: Writer<StatefulSet>,
    pods: Writer<Pod>,
    services: Writer<Service>,
    config_maps: Writer<PartialObjectMeta<ConfigMap>>,
    disruption_budgets: Writer<PartialObjectMeta<PodDisruptionBudget>>,
}

impl Operator {
    fn start(api: &FakeApi, rocketmq: &FakeRocketMq) -> Self {
        let (name_services, name_services_end) = reflector::store();
        let (brokers, brokers_end) = reflector::store();
        let (topic_transfers, topic_transfers_end) = reflector::store();
        let (stateful_sets, stateful_sets_end) = reflector::store();
        let (pods, pods_end) = reflector::store();
        let (services, services_end) = reflector::store();
        let (config_maps, config_maps_end) = reflector::store();
        let (disruption_budgets, disruption_budgets_end) = reflector::store();
        let reporter = Reporter {
            controller: "rocketmq-operator".to_owned(),
            instance: Some("test".to_owned()),
        };
        let context = Context {
            client: api.client(),
            admin: Arc::new(rocketmq.clone()),
            recorder: Recorder::new(api.client(), reporter),
            metrics: Arc::new(Metrics::default()),
            stores: Stores {
                name_services,
                brokers,
                topic_transfers,
                stateful_sets,
                pods,
                services,
                config_maps,
                disruption_budgets,
            },
            applied: Applied::default(),
            texts: Texts::default(),
        };
        Self {
            context: Arc::new(context),
            name_services: name_services_end,
            brokers: brokers_end,
            topic_transfers: topic_transfers_end,
            stateful_sets: stateful_sets_end,
            pods: pods_end,
            services: services_end,
            config_maps: config_maps_end,
            disruption_budgets: disruption_budgets_end,
        }
    }

    /// Makes the caches hold what the API server holds.
    fn refresh(&mut self, api: &FakeApi) {
        let ours = "app.kubernetes.io/managed-by=rocketmq-operator";
        fill(&mut self.name_services, api, "", prune::metadata);
        fill(&mut self.brokers, api, "", prune::metadata);
        fill(&mut self.topic_transfers, api, "", prune::metadata);
        fill(&mut self.stateful_sets, api, "", prune::stateful_set);
        fill(&mut self.pods, api, "app in (broker,name_service)", prune::pod);
        fill(&mut self.services, api, ours, prune::service);
        fill(&mut self.config_maps, api, "", prune::config_map);
        fill(&mut self.disruption_budgets, api, ours, prune::metadata);
    }
}

fn fill<K>(cache: &mut Writer<K>, api: &FakeApi, labels: &str, prune: fn(&mut K))
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + 'static,
{
    let (group, plural) = (K::group(&()), K::plural(&()));
    let objects: Vec<Value> = api.objects(|objects| {
        objects
            .list(&group, &plural, "")
            .filter(|object| labels_match(object, labels))
            .cloned()
            .collect()
    });
    cache.apply_watcher_event(&watcher::Event::Init);
    for object in objects {
        let mut object: K = serde_json::from_value(object).unwrap();
        prune(&mut object);
        cache.apply_watcher_event(&watcher::Event::InitApply(object));
    }
    cache.apply_watcher_event(&watcher::Event::InitDone);
}
