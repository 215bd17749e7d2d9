//! What we ask of RocketMQ, in domain words, and the remoting client that asks it.

mod acl;
pub mod client;
mod cluster;
mod confirmed;
mod connection;
mod error;
pub mod fake;
pub mod frame;
mod groups;
pub mod json;
mod message;
mod offsets;
mod runtime_info;
pub mod system;
mod tcp;
mod topics;
mod version;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod fake_life_tests;
#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tcp_tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;

pub use acl::Credentials;
pub use client::TcpAdmin;
pub use cluster::{BrokerData, ClusterInfo, QueueData, Registration, Route, RoutedBroker};
pub use confirmed::{Confirmed, ConfirmedAddress, confirm};
pub use error::Error;
pub use groups::{ATTRIBUTES, Client, ConsumerConnection, SubscriptionGroup, SubscriptionGroups};
pub use offsets::{
    ConsumeStats, ConsumedQueue, ConsumerOffsets, HaSlave, HaStatus, Progress, Queue, QueueOffsets,
};
pub use runtime_info::{BrokerConfig, Delayed, RuntimeInfo, TimerBacklog};
pub use topics::{Attributes, DataVersion, TopicConfig, Topics, perm};
pub use version::Version;

/// The namespace of name servers in which order topics have their queues: topic to `BROKER:QUEUES;…`.
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

/// What comes of asking.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// What the operator asks of RocketMQ. Addresses are `host:port`; name servers are asked on their only port, brokers on
/// `listenPort`.
///
/// Each name server and each broker knows for itself: what is to hold for all is told to every one. All that changes
/// something may be told again without harm, so the client does so once if a connection ends before the answer.
/// (A topic that is made with a fixed attribute may then be refused though it was made: [`Attributes::Create`].)
/// What changes a broker takes a [`ConfirmedAddress`]; use [`confirm`] and the methods of [`Confirmed`].
pub trait Admin: Send + Sync {
    /// The same, with brokers asked as that account, or as nobody. Name servers never ask who it is.
    fn signed(&self, credentials: Option<Credentials>) -> Arc<dyn Admin>;

    /// The brokers that a name server lists (`GET_BROKER_CLUSTER_INFO`, 106).
    fn cluster_info<'a>(&'a self, name_server: &'a str) -> Answer<'a, ClusterInfo>;

    /// The topics that a name server knows (`GET_ALL_TOPIC_LIST_FROM_NAMESERVER`, 206).
    fn topic_list<'a>(&'a self, name_server: &'a str) -> Answer<'a, Vec<String>>;

    /// Where a topic lives; none if the name server knows of no broker that has it (`GET_ROUTEINFO_BY_TOPIC`, 105).
    fn route<'a>(&'a self, name_server: &'a str, topic: &'a str) -> Answer<'a, Option<Route>>;

    /// Makes a name server forget a topic, of one cluster or of all (`DELETE_TOPIC_IN_NAMESRV`, 216; before 4.9.0 of all
    /// in any case). Where a broker still has the topic, it comes back.
    fn delete_topic_on_name_server<'a>(
        &'a self,
        name_server: &'a str,
        topic: &'a str,
        cluster: Option<&'a str>,
    ) -> Answer<'a, ()>;

    /// The keys and values of a namespace; none if there is no such namespace (`GET_KVLIST_BY_NAMESPACE`, 219). A new name
    /// server has none: they are not shared.
    fn kv_list<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
    ) -> Answer<'a, BTreeMap<String, String>>;

    /// Sets a key (`PUT_KV_CONFIG`, 100).
    fn put_kv<'a>(
        &'a self,
        name_server: &'a str,
        namespace: &'a str,
        key: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()>;

    /// Removes a key, if it is there (`DELETE_KV_CONFIG`, 102).
    fn delete_kv<'a>(&'a self, name_server: &'a str, namespace: &'a str, key: &'a str) -> Answer<'a, ()>;

    /// Strikes a broker off a name server's list, as the broker does when it stops (`UNREGISTER_BROKER`, 104). One that
    /// still runs registers again within 30 s. From 5.0.0 the answer comes before it is done.
    fn unregister_broker<'a>(&'a self, name_server: &'a str, broker: &'a Registration) -> Answer<'a, ()>;

    /// What a broker says of its present state (`GET_BROKER_RUNTIME_INFO`, 28).
    fn runtime_info<'a>(&'a self, broker: &'a str) -> Answer<'a, RuntimeInfo>;

    /// The configuration that a broker runs with (`GET_BROKER_CONFIG`, 26).
    fn broker_config<'a>(&'a self, broker: &'a str) -> Answer<'a, BrokerConfig>;

    /// A broker's topics, its own ones included (`GET_ALL_TOPIC_CONFIG`, 21).
    fn topics<'a>(&'a self, broker: &'a str) -> Answer<'a, Topics>;

    /// A broker's subscription groups, its own ones included (`GET_ALL_SUBSCRIPTIONGROUP_CONFIG`, 201).
    fn subscription_groups<'a>(&'a self, broker: &'a str) -> Answer<'a, SubscriptionGroups>;

    /// How far all groups are with all topics (`GET_ALL_CONSUMER_OFFSET`, 43).
    fn consumer_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, ConsumerOffsets>;

    /// How many messages of each delay level were delivered (`GET_ALL_DELAY_OFFSET`, 45).
    fn delay_offsets<'a>(&'a self, broker: &'a str) -> Answer<'a, BTreeMap<i32, i64>>;

    /// How far a topic's queues are, by queue id; none if the broker does not have it (`GET_TOPIC_STATS_INFO`, 202).
    fn topic_stats<'a>(
        &'a self,
        broker: &'a str,
        topic: &'a str,
    ) -> Answer<'a, Option<BTreeMap<i32, QueueOffsets>>>;

    /// Where the next message of a queue goes, also of one that the topic does not count; 0 if there is no such queue
    /// (`GET_MAX_OFFSET`, 30).
    fn max_offset<'a>(&'a self, broker: &'a str, topic: &'a str, id: i32) -> Answer<'a, i64>;

    /// How far a group is, with one topic or with all of which it has offsets (`GET_CONSUME_STATS`, 208).
    fn consume_stats<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
        topic: Option<&'a str>,
    ) -> Answer<'a, ConsumeStats>;

    /// The groups that subscribe to a topic or have offsets of it (`QUERY_TOPIC_CONSUME_BY_WHO`, 300).
    fn consumer_groups_of<'a>(&'a self, broker: &'a str, topic: &'a str) -> Answer<'a, Vec<String>>;

    /// Who of a group is connected; none if nobody is (`GET_CONSUMER_CONNECTION_LIST`, 203).
    fn consumer_connection<'a>(
        &'a self,
        broker: &'a str,
        group: &'a str,
    ) -> Answer<'a, Option<ConsumerConnection>>;

    /// The next message of a queue that a group is to consume (`QUERY_CONSUMER_OFFSET`, 14). Of a group that never consumed,
    /// none, or 0 if the queue's first message is still there.
    fn query_consumer_offset<'a>(
        &'a self,
        broker: &'a str,
        queue: ConsumedQueue<'a>,
    ) -> Answer<'a, Option<i64>>;

    /// A broker's replication (`GET_BROKER_HA_STATUS`, 907). Only if [`Version::has_ha_status`].
    fn ha_status<'a>(&'a self, broker: &'a str) -> Answer<'a, HaStatus>;

    /// Changes entries of a running broker's configuration (`UPDATE_BROKER_CONFIG`, 25), until it restarts if its file
    /// cannot be written. The broker says yes to what it does not know and to what it cannot parse: read it back.
    /// A change of `brokerPermission` is in the routes when the answer comes.
    fn update_broker_config<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        changes: &'a BTreeMap<String, String>,
    ) -> Answer<'a, ()>;

    /// Makes or changes a topic (`UPDATE_AND_CREATE_TOPIC`, 17). To be told to masters: a slave refuses it, or takes it and
    /// loses it. Read it back if not [`Version::answers_after_topic_is_put`]; `order` needs [`Version::honours_order`].
    fn put_topic<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        topic: &'a TopicConfig,
        attributes: Attributes,
    ) -> Answer<'a, ()>;

    /// Deletes a topic with its messages, if it is there (`DELETE_TOPIC_IN_BROKER`, 215). Name servers know it still: see
    /// [`Admin::delete_topic_on_name_server`].
    fn delete_topic<'a>(&'a self, broker: &'a ConfirmedAddress, topic: &'a str) -> Answer<'a, ()>;

    /// Makes or changes a subscription group (`UPDATE_AND_CREATE_SUBSCRIPTIONGROUP`, 200). A setting that the
    /// broker does not know is lost, but for an attribute, which 5.x refuses; one that is not given gets its default.
    fn put_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a SubscriptionGroup,
    ) -> Answer<'a, ()>;

    /// Deletes a subscription group, if it is there, with its offsets if [`Version::deletes_offsets_with_group`]
    /// (`DELETE_SUBSCRIPTIONGROUP`, 207).
    fn delete_subscription_group<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        group: &'a str,
    ) -> Answer<'a, ()>;

    /// Sets the next message of a queue that a group is to consume, back or forth (`UPDATE_CONSUMER_OFFSET`, 15). Consumers
    /// that are connected set it too.
    fn update_consumer_offset<'a>(
        &'a self,
        broker: &'a ConfirmedAddress,
        queue: ConsumedQueue<'a>,
        offset: i64,
    ) -> Answer<'a, ()>;
}
