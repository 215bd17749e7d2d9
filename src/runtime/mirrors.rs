//! Which kinds are watched, what is kept of each, and what a change of one sets off.

use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use kube::Client;
use kube::runtime::reflector::ObjectRef;

use super::metrics::{Kind, Metrics};
use super::prune;
use super::streams::{Change, Keep, Select, Watches, cache};
use super::triggers::Triggers;
use crate::api::{Broker, NameService, TopicTransfer};
use crate::context::Stores;
use crate::settings::Scope;

/// The caches, what fills them, and the queues that their changes fill.
pub(super) struct Mirrors {
    pub(super) watches: Watches,
    pub(super) stores: Stores,
    pub(super) due_name_services: UnboundedReceiver<ObjectRef<NameService>>,
    pub(super) due_brokers: UnboundedReceiver<ObjectRef<Broker>>,
    pub(super) due_topic_transfers: UnboundedReceiver<ObjectRef<TopicTransfer>>,
}

impl Mirrors {
    /// Starts every watch.
    pub(super) fn start(client: &Client, scope: &Scope, metrics: &Arc<Metrics>) -> Self {
        let ours = Select::Labels("app.kubernetes.io/managed-by=rocketmq-operator");
        let pods_of_ours = Select::Labels("app in (broker,name_service)");
        // Every namespace has one of these, and no spec can mean it.
        let config_maps_but_roots = Select::Fields("metadata.name!=kube-root-ca.crt");

        let (name_services, name_services_end) = cache();
        let (brokers, brokers_end) = cache();
        let (topic_transfers, topic_transfers_end) = cache();
        let (stateful_sets, stateful_sets_end) = cache();
        let (pods, pods_end) = cache();
        let (services, services_end) = cache();
        let (config_maps, config_maps_end) = cache();
        let (disruption_budgets, disruption_budgets_end) = cache();
        let (triggers, due) = Triggers::new(name_services.clone(), brokers.clone(), topic_transfers.clone());

        let mut watches = Watches::new(client.clone(), scope.clone(), metrics.clone());
        let on = triggers.clone();
        let kept = keep(prune::metadata, move |change| on.name_service(change));
        watches.mirror_guarded(Kind::NameService, name_services_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::metadata, move |change| on.broker(change));
        watches.mirror_guarded(Kind::Broker, brokers_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::metadata, move |change| on.topic_transfer(change));
        watches.mirror_guarded(Kind::TopicTransfer, topic_transfers_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::stateful_set, move |change| on.owned(change));
        watches.mirror(Kind::StatefulSet, Select::Everything, stateful_sets_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::pod, move |change| on.pod(change));
        watches.mirror(Kind::Pod, pods_of_ours, pods_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::service, move |change| on.owned(change));
        watches.mirror(Kind::Service, ours, services_end, kept);
        let on = triggers.clone();
        let kept = keep(prune::config_map, move |change| on.config_map(change));
        watches.mirror(Kind::ConfigMap, config_maps_but_roots, config_maps_end, kept);
        let kept = keep(prune::metadata, move |change| triggers.owned(change));
        watches.mirror(Kind::PodDisruptionBudget, ours, disruption_budgets_end, kept);

        let stores = Stores {
            name_services,
            brokers,
            topic_transfers,
            stateful_sets,
            pods,
            services,
            config_maps,
            disruption_budgets,
        };
        Self {
            watches,
            stores,
            due_name_services: due.name_services,
            due_brokers: due.brokers,
            due_topic_transfers: due.topic_transfers,
        }
    }
}

fn keep<K, F: FnMut(Change<'_, K>)>(prune: fn(&mut K), changed: F) -> Keep<K, F> {
    Keep { prune, changed }
}
