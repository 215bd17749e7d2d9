//! What a name server keeps: RocketMQ `RouteInfoManager` and `KVConfigManager`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FakeBroker;
use crate::admin::{BrokerData, ClusterInfo, QueueData, Route, RoutedBroker};

#[derive(Clone, Debug, Default)]
pub(super) struct NameServer {
    /// By name and id.
    listed: BTreeMap<(String, i64), Listed>,
    /// By topic and broker name.
    queues: BTreeMap<String, BTreeMap<String, QueueData>>,
    /// By namespace and key.
    kv: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Clone, Debug)]
struct Listed {
    cluster: String,
    address: String,
    at: Duration,
}

impl NameServer {
    /// An address stands under one id of a group only. Topics are those of masters; one that a broker has no more stays.
    pub(super) fn register(&mut self, broker: &FakeBroker, now: Duration) {
        let listed = Listed {
            cluster: broker.cluster_name().to_owned(),
            address: broker.registered().to_owned(),
            at: now,
        };
        self.listed
            .retain(|(name, _), other| name != broker.name() || other.address != listed.address);
        self.listed
            .insert((broker.name().to_owned(), broker.id()), listed);
        if broker.id() == 0 {
            for (topic, queues) in broker.registered_queues() {
                let brokers = self.queues.entry(topic).or_default();
                brokers.insert(broker.name().to_owned(), queues);
            }
        }
    }

    /// Takes a broker off the list, where the address is that one; a group goes with its last broker.
    pub(super) fn remove(&mut self, name: &str, id: i64, address: Option<&str>) {
        let key = (name.to_owned(), id);
        let is_it = |listed: &Listed| address.is_none_or(|address| listed.address == address);
        if self.listed.get(&key).is_some_and(is_it) {
            self.listed.remove(&key);
            self.forget_groups_that_are_gone();
        }
    }

    /// Strikes off who registered before `since` and not again.
    pub(super) fn expire(&mut self, since: Duration) {
        self.listed.retain(|_, listed| listed.at >= since);
        self.forget_groups_that_are_gone();
    }

    fn forget_groups_that_are_gone(&mut self) {
        let listed = &self.listed;
        let is_left = |name: &String| listed.keys().any(|(listed, _)| listed == name);
        self.queues.retain(|_, brokers| {
            brokers.retain(|name, _| is_left(name));
            !brokers.is_empty()
        });
    }

    pub(super) fn cluster_info(&self) -> ClusterInfo {
        let mut info = ClusterInfo::default();
        for ((name, id), listed) in &self.listed {
            let data = info.brokers.entry(name.clone()).or_insert_with(|| BrokerData {
                cluster: listed.cluster.clone(),
                addresses: BTreeMap::new(),
            });
            data.addresses.insert(*id, listed.address.clone());
        }
        info
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.queues.keys().cloned().collect()
    }

    pub(super) fn route(&self, topic: &str) -> Option<Route> {
        let mut listed = self.cluster_info().brokers;
        let brokers = self.queues.get(topic)?.iter().filter_map(|(name, queues)| {
            let BrokerData { cluster, addresses } = listed.remove(name)?;
            let queues = *queues;
            let routed = RoutedBroker {
                cluster,
                addresses,
                queues,
            };
            Some((name.clone(), routed))
        });
        let order = self
            .kv
            .get(crate::admin::ORDER_TOPICS)
            .and_then(|topics| topics.get(topic));
        Some(Route {
            brokers: brokers.collect(),
            order: order.cloned(),
        })
    }

    pub(super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let info = self.cluster_info();
        let is_of = |name: &String| {
            let data = info.brokers.get(name);
            cluster.is_none_or(|cluster| data.is_none_or(|data| data.cluster == cluster))
        };
        if let Some(brokers) = self.queues.get_mut(topic) {
            brokers.retain(|name, _| !is_of(name));
            if brokers.is_empty() {
                self.queues.remove(topic);
            }
        }
    }

    pub(super) fn kv(&self, namespace: &str) -> BTreeMap<String, String> {
        self.kv.get(namespace).cloned().unwrap_or_default()
    }

    pub(super) fn put_kv(&mut self, namespace: &str, key: &str, value: &str) {
        let keys = self.kv.entry(namespace.to_owned()).or_default();
        keys.insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn delete_kv(&mut self, namespace: &str, key: &str) {
        if let Some(keys) = self.kv.get_mut(namespace) {
            keys.remove(key);
        }
    }
}
