//! What is asked over TCP, request by request.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, TryFutureExt};

use super::frame::Frame;
use super::message::{Request, broker as of_broker, cluster, codes, groups, offsets, topics};
use super::{
    Admin, Answer, Attributes, BrokerConfig, ClusterInfo, ConfirmedAddress, ConsumeStats, ConsumedQueue,
    ConsumerConnection, ConsumerOffsets, Credentials, Error, HaStatus, QueueOffsets, Registration, Route,
    RuntimeInfo, SubscriptionGroup, SubscriptionGroups, TcpAdmin, TopicConfig, Topics,
};

impl TcpAdmin {
    fn read<'a, T: Send + 'a>(
        &'a self,
        address: &'a str,
        request: Request,
        read: fn(&[u8]) -> Result<T, String>,
    ) -> Answer<'a, T> {
        self.ask(address, request, move |frame: &Frame| read(&frame.body))
            .boxed()
    }

    fn tell<'a>(&'a self, address: &'a str, request: Request) -> Answer<'a, ()> {
        self.ask(address, request, |_| Ok(())).boxed()
    }
}

/// None where the answer is that there is nothing of the kind.
fn unless<'a, T: Send + 'a>(nothing: i32, answer: Answer<'a, T>) -> BoxFuture<'a, Result<Option<T>, Error>> {
    let answer = answer.map_ok(Some);
    answer
        .map(move |answer| match answer {
            Err(Error::Refused { code, .. }) if code == nothing => Ok(None),
            other => other,
        })
        .boxed()
}

impl Admin for TcpAdmin {
    fn signed(&self, credentials: Option<Credentials>) -> Arc<dyn Admin> {
        Arc::new(self.with_credentials(credentials))
    }

    fn cluster_info<'a>(&'a self, name_server: &'a str) -> Answer<'a, ClusterInfo> {
        let request = codes::GET_BROKER_CLUSTER_INFO.request();
        self.read(name_server, request, cluster::cluster_info)
    }

    fn topic_list<'a>(&'a self, name_server: &'a str) -> Answer<'a, Vec<String>> {
        let request = codes::GET_ALL_TOPIC_LIST_FROM_NAMESERVER.request();
        self.read(name_server, request, cluster::topic_list)
    }

    fn route<'a>(&'a self, name_server: &'a str, topic: &'a str) -> Answer<'a, Option<Route>> {
        let request = codes::GET_ROUTEINFO_BY_TOPIC.request().with("topic", topic);
        unless(
            codes::TOPIC_NOT_EXIST,
            self.read(name_server, request, cluster::route),
        )
    }

    fn delete_topic_on_name_server<'a>(
        &'a self,
        name_server: &'a str,
        topic: &'a str,
        cluster: Option<&'a str>,
    ) -> Answer<'a, ()> {
        let request = codes::DELETE_TOPIC_IN_NAMESRV.request().with("topic", topic);
        let request = match cluster {
            Some(cluster) => request.with("clusterName", cluster),
            None => request,
        };
        self.tell(name_server, request)
    }

    fn kv_list<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
    ) -> Answer<'a, BTreeMap<String, String>> {
        let request = codes::GET_KVLIST_BY_NAMESPACE
            .request()
            .with("namespace", namespace);
        let list = self.read(name_server, request, cluster::kv_list);
        unless(codes::QUERY_NOT_FOUND, list)
            .map_ok(Option::unwrap_or_default)
            .boxed()
    }

    fn put_kv<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
        key: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()> {
        let request = codes::PUT_KV_CONFIG.request().with("namespace", namespace);
        self.tell(name_server, request.with("key", key).with("value", value))
    }

    fn delete_kv<'a>(&'a self, name_server: &'a str, namespace: &'a str, key: &'a str) -> Answer<'a, ()> {
        let request = codes::DELETE_KV_CONFIG.request().with("namespace", namespace);
        self.tell(name_server, request.with("key", key))
    }

    fn unregister_broker<'a>(&'a self, name_server: &'a str, broker: &'a Registration) -> Answer<'a, ()> {
        let request = codes::UNREGISTER_BROKER
            .request()
            .with("clusterName", &broker.cluster)
            .with("brokerName", &broker.broker_name)
            .with("brokerId", broker.broker_id)
            .with("brokerAddr", &broker.address);
        self.tell(name_server, request)
    }

    fn runtime_info<'a>(&'a self, broker: &'a str) -> Answer<'a, RuntimeInfo> {
        let request = codes::GET_BROKER_RUNTIME_INFO.request();
        self.read(broker, request, of_broker::runtime_info)
    }

    fn broker_config<'a>(&'a self, broker: &'a str) -> Answer<'a, BrokerConfig> {
        let request = codes::GET_BROKER_CONFIG.request();
        self.read(broker, request, of_broker::broker_config)
    }

    fn topics<'a>(&'a self, broker: &'a str) -> Answer<'a, Topics> {
        self.read(broker, codes::GET_ALL_TOPIC_CONFIG.request(), topics::topics)
    }

    fn subscription_groups<'a>(&'a self, broker: &'a str) -> Answer<'a, SubscriptionGroups> {
        let request = codes::GET_ALL_SUBSCRIPTIONGROUP_CONFIG.request();
        self.read(broker, request, groups::subscription_groups)
    }

    fn consumer_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, ConsumerOffsets> {
        let request = codes::GET_ALL_CONSUMER_OFFSET.request();
        self.read(broker, request, offsets::consumer_offsets)
    }

    fn delay_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, BTreeMap<i32, i64>> {
        let request = codes::GET_ALL_DELAY_OFFSET.request();
        self.read(broker, request, offsets::delay_offsets)
    }

    fn topic_stats<'a>(
        &'a self,
        broker: &'a str,
        topic: &'a str,
    ) -> Answer<'a, Option<BTreeMap<i32, QueueOffsets>>> {
        let request = codes::GET_TOPIC_STATS_INFO.request().with("topic", topic);
        unless(
            codes::TOPIC_NOT_EXIST,
            self.read(broker, request, offsets::topic_stats),
        )
    }

    fn max_offset<'a>(&'a self, broker: &'a str, topic: &'a str, id: i32) -> Answer<'a, i64> {
        let request = codes::GET_MAX_OFFSET.request();
        let request = request.with("topic", topic).with("queueId", id);
        self.ask(broker, request, |frame: &Frame| offsets::offset(&frame.fields))
            .boxed()
    }

    fn consume_stats<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
        topic: Option<&'a str>,
    ) -> Answer<'a, ConsumeStats> {
        let request = codes::GET_CONSUME_STATS.request().with("consumerGroup", group);
        let request = match topic {
            Some(topic) => request.with("topic", topic),
            None => request,
        };
        self.read(broker, request, offsets::consume_stats)
    }

    fn consumer_groups_of<'a>(&'a self, broker: &'a str, topic: &'a str) -> Answer<'a, Vec<String>> {
        let request = codes::QUERY_TOPIC_CONSUME_BY_WHO.request().with("topic", topic);
        self.read(broker, request, groups::consumer_groups)
    }

    fn consumer_connection<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
    ) -> Answer<'a, Option<ConsumerConnection>> {
        let request = codes::GET_CONSUMER_CONNECTION_LIST
            .request()
            .with("consumerGroup", group);
        let connection = self.read(broker, request, groups::consumer_connection);
        unless(codes::CONSUMER_NOT_ONLINE, connection)
    }

    fn query_consumer_offset<'a>(
        &'a self,
        broker: &'a str,
        queue: ConsumedQueue<'a>,
    ) -> Answer<'a, Option<i64>> {
        let request = offsets::of_queue(codes::QUERY_CONSUMER_OFFSET, queue);
        let offset = self.ask(broker, request, |frame: &Frame| offsets::offset(&frame.fields));
        unless(codes::QUERY_NOT_FOUND, offset.boxed())
    }

    fn ha_status<'a>(&'a self, broker: &'a str) -> Answer<'a, HaStatus> {
        let request = codes::GET_BROKER_HA_STATUS.request();
        self.read(broker, request, of_broker::ha_status)
    }

    fn update_broker_config<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        changes: &'a BTreeMap<String, String>,
    ) -> Answer<'a, ()> {
        self.tell(broker.as_str(), of_broker::update_broker_config(changes))
    }

    fn put_topic<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        topic: &'a TopicConfig,
        attributes: Attributes,
    ) -> Answer<'a, ()> {
        self.tell(broker.as_str(), topics::put_topic(topic, attributes))
    }

    fn delete_topic<'a>(&'a self, broker: &'a ConfirmedAddress, topic: &'a str) -> Answer<'a, ()> {
        let request = codes::DELETE_TOPIC_IN_BROKER.request().with("topic", topic);
        self.tell(broker.as_str(), request)
    }

    fn put_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a SubscriptionGroup,
    ) -> Answer<'a, ()> {
        self.tell(broker.as_str(), groups::put_subscription_group(group))
    }

    fn delete_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a str,
    ) -> Answer<'a, ()> {
        self.tell(broker.as_str(), groups::delete_subscription_group(group))
    }

    fn update_consumer_offset<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        queue: ConsumedQueue<'a>,
        offset: i64,
    ) -> Answer<'a, ()> {
        let request = offsets::of_queue(codes::UPDATE_CONSUMER_OFFSET, queue);
        self.tell(broker.as_str(), request.with("commitOffset", offset))
    }
}
