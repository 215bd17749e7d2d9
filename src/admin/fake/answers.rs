//! What the fake's servers answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::troubles::Fault;
use super::{FakeRocketMq, State};
use crate::admin::message::{Code, codes};
use crate::admin::system::is_system_topic;
use crate::admin::{
    Admin, Answer, Attributes, BrokerConfig, ClusterInfo, ConfirmedAddress, ConsumeStats, ConsumedQueue,
    ConsumerConnection, ConsumerOffsets, Credentials, HaStatus, QueueOffsets, Registration, Route,
    RuntimeInfo, SubscriptionGroup, SubscriptionGroups, TopicConfig, Topics, Version,
};

use super::FakeBroker;

impl FakeRocketMq {
    fn read<'a, T: Send + 'a>(
        &self,
        address: &str,
        code: Code,
        read: impl FnOnce(&FakeBroker) -> T,
    ) -> Answer<'a, T> {
        self.ask(address, code, |state| Ok(read(state.broker(address)?)))
    }
}

/// What `TopicValidator` and `AdminBrokerProcessor.updateAndCreateTopic` refuse.
fn check_topic(broker: &FakeBroker, topic: &str) -> Result<(), Fault> {
    let version = broker.release();
    if broker.id() != 0 && version.slave_refuses_topics() {
        return Err(Fault::refused(1, "can't do it on a slave"));
    }
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || "%|_-".contains(c));
    let (system, odd) = if version >= Version::new(4, 6, 1) {
        (
            is_system_topic(topic, broker.cluster_name(), broker.name()),
            topic.is_empty() || topic.len() > 127 || topic.contains(is_odd),
        )
    } else {
        (topic == broker.cluster_name(), false)
    };
    if system || odd {
        let code = if version >= Version::new(5, 3, 2) { 29 } else { 1 };
        return Err(Fault::refused(code, &format!("The topic[{topic}] is not valid.")));
    }
    Ok(())
}

fn put_topic(
    state: &mut State,
    address: &str,
    topic: &TopicConfig,
    attributes: Attributes,
) -> Result<(), Fault> {
    let broker = state.broker(address)?;
    check_topic(broker, &topic.name)?;
    let version = broker.release();
    broker.store_mut().put_topic(topic, attributes, version)?;
    state.register_one(address);
    Ok(())
}

fn ha_status(broker: &FakeBroker) -> Result<HaStatus, Fault> {
    let version = broker.release();
    match (version.has_ha_status(), version.answers_unknown_codes()) {
        (true, _) => Ok(broker.ha_status()),
        (false, true) => Err(Fault::NotSupported),
        (false, false) => Err(Fault::Silent),
    }
}

fn update_consumer_offset(
    broker: &mut FakeBroker,
    queue: ConsumedQueue<'_>,
    offset: i64,
) -> Result<(), Fault> {
    if broker.release() >= Version::new(5, 0, 0) {
        if !broker.topics().contains_key(queue.topic) {
            return Err(Fault::refused(codes::TOPIC_NOT_EXIST, "Topic not exist"));
        }
        if !broker.groups().contains_key(queue.group) {
            return Err(Fault::refused(26, "Group not exist"));
        }
    }
    broker.store_mut().set_offset(queue, offset);
    Ok(())
}

impl Admin for FakeRocketMq {
    fn signed(&self, credentials: Option<Credentials>) -> Arc<dyn Admin> {
        Arc::new(Self {
            state: Arc::clone(&self.state),
            credentials: credentials.map(Arc::new),
        })
    }

    fn cluster_info<'a>(&'a self, name_server: &'a str) -> Answer<'a, ClusterInfo> {
        self.ask(name_server, codes::GET_BROKER_CLUSTER_INFO, |state| {
            Ok(state.name_server(name_server)?.cluster_info())
        })
    }

    fn topic_list<'a>(&'a self, name_server: &'a str) -> Answer<'a, Vec<String>> {
        self.ask(name_server, codes::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, |state| {
            Ok(state.name_server(name_server)?.topics())
        })
    }

    fn route<'a>(&'a self, name_server: &'a str, topic: &'a str) -> Answer<'a, Option<Route>> {
        self.ask(name_server, codes::GET_ROUTEINFO_BY_TOPIC, |state| {
            Ok(state.name_server(name_server)?.route(topic))
        })
    }

    fn delete_topic_on_name_server<'a>(
        &'a self,
        name_server: &'a str,
        topic: &'a str,
        cluster: Option<&'a str>,
    ) -> Answer<'a, ()> {
        self.ask(name_server, codes::DELETE_TOPIC_IN_NAMESRV, |state| {
            state.name_server(name_server)?.delete_topic(topic, cluster);
            Ok(())
        })
    }

    fn kv_list<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
    ) -> Answer<'a, BTreeMap<String, String>> {
        self.ask(name_server, codes::GET_KVLIST_BY_NAMESPACE, |state| {
            Ok(state.name_server(name_server)?.kv(namespace))
        })
    }

    fn put_kv<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
        key: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()> {
        self.ask(name_server, codes::PUT_KV_CONFIG, |state| {
            state.name_server(name_server)?.put_kv(namespace, key, value);
            Ok(())
        })
    }

    fn delete_kv<'a>(&'a self, name_server: &'a str, namespace: &'a str, key: &'a str) -> Answer<'a, ()> {
        self.ask(name_server, codes::DELETE_KV_CONFIG, |state| {
            state.name_server(name_server)?.delete_kv(namespace, key);
            Ok(())
        })
    }

    fn unregister_broker<'a>(&'a self, name_server: &'a str, broker: &'a Registration) -> Answer<'a, ()> {
        self.ask(name_server, codes::UNREGISTER_BROKER, |state| {
            let (name, address) = (&broker.broker_name, broker.address.as_str());
            let server = state.name_server(name_server)?;
            server.remove(name, broker.broker_id, Some(address));
            Ok(())
        })
    }

    fn runtime_info<'a>(&'a self, broker: &'a str) -> Answer<'a, RuntimeInfo> {
        self.read(broker, codes::GET_BROKER_RUNTIME_INFO, FakeBroker::whole_runtime)
    }

    fn broker_config<'a>(&'a self, broker: &'a str) -> Answer<'a, BrokerConfig> {
        self.read(broker, codes::GET_BROKER_CONFIG, FakeBroker::whole_config)
    }

    fn topics<'a>(&'a self, broker: &'a str) -> Answer<'a, Topics> {
        self.ask(broker, codes::GET_ALL_TOPIC_CONFIG, |state| {
            let store = state.broker(broker)?.store_mut();
            let told = Topics {
                topics: store.topics.clone(),
                version: store.version,
            };
            // What was put before this was asked is there when it is asked again.
            store.settle();
            if store.version != told.version {
                state.register_one(broker);
            }
            Ok(told)
        })
    }

    fn subscription_groups<'a>(&'a self, broker: &'a str) -> Answer<'a, SubscriptionGroups> {
        self.read(broker, codes::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, |broker| {
            SubscriptionGroups {
                groups: broker.groups().clone(),
                version: broker.store().version,
            }
        })
    }

    fn consumer_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, ConsumerOffsets> {
        self.read(broker, codes::GET_ALL_CONSUMER_OFFSET, |broker| {
            broker.store().offsets.clone()
        })
    }

    fn delay_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, BTreeMap<i32, i64>> {
        self.read(broker, codes::GET_ALL_DELAY_OFFSET, |broker| {
            broker.store().delayed.clone()
        })
    }

    fn topic_stats<'a>(
        &'a self,
        broker: &'a str,
        topic: &'a str,
    ) -> Answer<'a, Option<BTreeMap<i32, QueueOffsets>>> {
        self.read(broker, codes::GET_TOPIC_STATS_INFO, |broker| {
            broker.store().topic_stats(topic)
        })
    }

    fn max_offset<'a>(&'a self, broker: &'a str, topic: &'a str, id: i32) -> Answer<'a, i64> {
        self.read(broker, codes::GET_MAX_OFFSET, |broker| {
            broker.store().queue(topic, id).max
        })
    }

    fn consume_stats<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
        topic: Option<&'a str>,
    ) -> Answer<'a, ConsumeStats> {
        self.read(broker, codes::GET_CONSUME_STATS, |broker| {
            let connected = broker.connected(group);
            broker.store().consume_stats(group, topic, |name| {
                connected.is_none_or(|connected| connected.topics.contains(name))
            })
        })
    }

    fn consumer_groups_of<'a>(&'a self, broker: &'a str, topic: &'a str) -> Answer<'a, Vec<String>> {
        self.read(broker, codes::QUERY_TOPIC_CONSUME_BY_WHO, |broker| {
            let consumed = broker.store().offsets.groups_of(topic).map(ToOwned::to_owned);
            let mut groups: Vec<_> = consumed.chain(broker.subscribed_to(topic).cloned()).collect();
            groups.sort();
            groups.dedup();
            groups
        })
    }

    fn consumer_connection<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
    ) -> Answer<'a, Option<ConsumerConnection>> {
        self.read(broker, codes::GET_CONSUMER_CONNECTION_LIST, |broker| {
            broker.connected(group).cloned()
        })
    }

    fn query_consumer_offset<'a>(
        &'a self,
        broker: &'a str,
        queue: ConsumedQueue<'a>,
    ) -> Answer<'a, Option<i64>> {
        self.read(broker, codes::QUERY_CONSUMER_OFFSET, |broker| {
            broker.store().offset(queue)
        })
    }

    fn ha_status<'a>(&'a self, broker: &'a str) -> Answer<'a, HaStatus> {
        self.ask(broker, codes::GET_BROKER_HA_STATUS, |state| {
            ha_status(state.broker(broker)?)
        })
    }

    fn update_broker_config<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        changes: &'a BTreeMap<String, String>,
    ) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::UPDATE_BROKER_CONFIG, |state| {
            let now = state.clock;
            if state.broker(address)?.reconfigure(changes, now) {
                state.register_one(address);
            }
            Ok(())
        })
    }

    fn put_topic<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        topic: &'a TopicConfig,
        attributes: Attributes,
    ) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::UPDATE_AND_CREATE_TOPIC, |state| {
            put_topic(state, address, topic, attributes)
        })
    }

    fn delete_topic<'a>(&'a self, broker: &'a ConfirmedAddress, topic: &'a str) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::DELETE_TOPIC_IN_BROKER, |state| {
            let broker = state.broker(address)?;
            let version = broker.release();
            broker.store_mut().delete_topic(topic, version);
            Ok(())
        })
    }

    fn put_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a SubscriptionGroup,
    ) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, |state| {
            let broker = state.broker(address)?;
            let version = broker.release();
            if broker.store_mut().put_group(group, version) {
                return Ok(());
            }
            Err(Fault::refused(1, "unsupported key"))
        })
    }

    fn delete_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a str,
    ) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::DELETE_SUBSCRIPTIONGROUP, |state| {
            let broker = state.broker(address)?;
            let version = broker.release();
            broker.store_mut().delete_group(group, version);
            Ok(())
        })
    }

    fn update_consumer_offset<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        queue: ConsumedQueue<'a>,
        offset: i64,
    ) -> Answer<'a, ()> {
        let address = broker.as_str();
        self.ask(address, codes::UPDATE_CONSUMER_OFFSET, |state| {
            update_consumer_offset(state.broker(address)?, queue, offset)
        })
    }
}
