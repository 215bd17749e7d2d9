//! A broker: one process, with what it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::EXPIRE;
use super::store::Store;
use super::troubles::Fault;
use crate::admin::system::SCHEDULE_TOPIC;
use crate::admin::{
    BrokerConfig, Client, ConsumedQueue, ConsumerConnection, Credentials, HaStatus, QueueData, QueueOffsets,
    RuntimeInfo, SubscriptionGroup, TopicConfig, Version,
};

/// A broker: one process, that answers on one address and registers another, or the same.
#[derive(Clone, Debug)]
pub struct FakeBroker {
    name: String,
    id: i64,
    cluster: String,
    asked_on: String,
    registered: Option<String>,
    /// As they stand in its list, not resolved; every one if none.
    name_servers: Option<BTreeSet<String>>,
    /// What it was told to take instead, and when.
    next_name_servers: Option<(BTreeSet<String>, Duration)>,
    config: BTreeMap<String, String>,
    ignored: BTreeSet<String>,
    runtime: BTreeMap<String, String>,
    disk: Option<String>,
    store: Store,
    online: BTreeMap<String, ConsumerConnection>,
    ha: Option<HaStatus>,
    account: Option<Credentials>,
}

/// How it is described.
impl FakeBroker {
    /// The master of a group, of RocketMQ 5.5.0 in `DefaultCluster`, that answers on `127.0.0.1:10911` and registers
    /// that on every name server.
    #[must_use]
    pub fn master(name: &str) -> Self {
        Self::replica(name, 0)
    }

    /// As [`FakeBroker::master`], with another broker id. It has what its master has with the next registration.
    #[must_use]
    pub fn replica(name: &str, id: i64) -> Self {
        let broker = Self {
            name: name.to_owned(),
            id,
            cluster: "DefaultCluster".to_owned(),
            asked_on: "127.0.0.1:10911".to_owned(),
            registered: None,
            name_servers: None,
            next_name_servers: None,
            config: BTreeMap::new(),
            ignored: BTreeSet::new(),
            runtime: BTreeMap::new(),
            disk: None,
            store: Store::default(),
            online: BTreeMap::new(),
            ha: None,
            account: None,
        };
        broker.version("V5_5_0").booted_at(1_700_000_000_000)
    }

    /// `brokerClusterName`.
    #[must_use]
    pub fn cluster(mut self, cluster: &str) -> Self {
        cluster.clone_into(&mut self.cluster);
        self
    }

    /// The address that it answers on: its pod's, as `host:port`.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.asked_on);
        self
    }

    /// The address that name servers list, where it is not the one that it answers on: its Service's, as `host:port`.
    #[must_use]
    pub fn registers_as(mut self, address: &str) -> Self {
        self.registered = Some(address.to_owned());
        self
    }

    /// Registers on these name servers only, not on every one: addresses, or names that
    /// [`FakeRocketMq::resolves`](super::FakeRocketMq::resolves).
    #[must_use]
    pub fn registers_on(mut self, name_servers: &[&str]) -> Self {
        self.name_servers = Some(name_servers.iter().copied().map(ToOwned::to_owned).collect());
        self
    }

    /// `brokerVersionDesc`, such as `V4_9_7`. What the broker can do follows from it.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        self.runtime("brokerVersionDesc", version)
    }

    /// `bootTimestamp`, milliseconds since 1970.
    #[must_use]
    pub fn booted_at(self, millis: i64) -> Self {
        self.runtime("bootTimestamp", &millis.to_string())
    }

    /// An entry of its configuration. Those of its identity, role and addresses are there from the start.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Says yes when that entry of its configuration is to change, and does not change it: as with a value that it cannot
    /// parse, or a key that it does not know.
    #[must_use]
    pub fn ignores(mut self, key: &str) -> Self {
        self.ignored.insert(key.to_owned());
        self
    }

    /// An entry of its runtime information.
    #[must_use]
    pub fn runtime(mut self, key: &str, value: &str) -> Self {
        self.runtime.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Keeps what it has on that disk, for the next broker that is on it.
    #[must_use]
    pub fn on_disk(mut self, disk: &str) -> Self {
        self.disk = Some(disk.to_owned());
        self
    }

    /// Has that topic. Those that every broker makes for itself are there from the start.
    #[must_use]
    pub fn topic(mut self, topic: TopicConfig) -> Self {
        self.store.topics.insert(topic.name.clone(), topic);
        self
    }

    /// Has that subscription group, with the version's defaults where it tells nothing.
    #[must_use]
    pub fn group(mut self, group: &SubscriptionGroup) -> Self {
        let version = self.release();
        self.store.put_group(group, version);
        self
    }

    /// A queue's messages: the first that is still there, and where the next one goes.
    #[must_use]
    pub fn queue(mut self, topic: &str, id: i32, min: i64, max: i64) -> Self {
        let queues = self.store.queues.entry(topic.to_owned()).or_default();
        let last_update_ms = if min < max { 1_700_000_000_000 } else { 0 };
        let offsets = QueueOffsets {
            min,
            max,
            last_update_ms,
        };
        queues.insert(id, offsets);
        self
    }

    /// The next message of a queue that a group is to consume.
    #[must_use]
    pub fn consumed(mut self, topic: &str, group: &str, id: i32, offset: i64) -> Self {
        self.store.set_offset(ConsumedQueue { group, topic, id }, offset);
        self
    }

    /// How many messages of a delay level were delivered, of how many. Some versions do not tell of a level before its first
    /// message is: [`Version::tells_levels_that_wait`].
    #[must_use]
    pub fn delayed(mut self, level: i32, delivered: i64, max: i64) -> Self {
        self.store.delayed.insert(level, delivered);
        self.queue(SCHEDULE_TOPIC, level - 1, 0, max)
    }

    /// A client of a group is connected and subscribes to these topics.
    #[must_use]
    pub fn online(mut self, group: &str, client: &str, topics: &[&str]) -> Self {
        let connection = self.online.entry(group.to_owned()).or_default();
        connection.clients.insert(client.to_owned(), Client::default());
        connection
            .topics
            .extend(topics.iter().copied().map(ToOwned::to_owned));
        connection.message_model = Some("CLUSTERING".to_owned());
        self
    }

    /// As [`FakeBroker::online`], where every client gets every message and keeps its offsets itself.
    #[must_use]
    pub fn broadcasting(self, group: &str, client: &str, topics: &[&str]) -> Self {
        let mut broker = self.online(group, client, topics);
        if let Some(connection) = broker.online.get_mut(group) {
            connection.message_model = Some("BROADCASTING".to_owned());
        }
        broker
    }

    /// Nobody of that group is connected.
    #[must_use]
    pub fn offline(mut self, group: &str) -> Self {
        self.online.remove(group);
        self
    }

    /// Its replication is like that. Otherwise a master has no slaves.
    #[must_use]
    pub fn replicates(mut self, ha: HaStatus) -> Self {
        self.ha = Some(ha);
        self
    }

    /// Answers that account only, as with ACLs.
    #[must_use]
    pub fn only_for(mut self, account: Credentials) -> Self {
        self.account = Some(account);
        self
    }
}

/// What it is like.
impl FakeBroker {
    /// `brokerName`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `brokerId`.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Its topics, its own ones included, for a test that does not want to ask.
    #[must_use]
    pub fn topics(&self) -> &BTreeMap<String, TopicConfig> {
        &self.store.topics
    }

    /// Its subscription groups, its own ones included, for a test that does not want to ask.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<String, SubscriptionGroup> {
        &self.store.groups
    }

    /// The configuration that it runs with.
    #[must_use]
    pub fn whole_config(&self) -> BrokerConfig {
        let (host, port) = self.registered().rsplit_once(':').unwrap_or_default();
        let role = if self.id == 0 { "ASYNC_MASTER" } else { "SLAVE" };
        let own = [
            ("brokerClusterName", self.cluster.clone()),
            ("brokerId", self.id.to_string()),
            ("brokerIP1", host.to_owned()),
            ("brokerName", self.name.clone()),
            ("brokerPermission", "6".to_owned()),
            ("brokerRole", role.to_owned()),
            ("listenPort", port.to_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let mut whole: BTreeMap<_, _> = own.collect();
        whole.extend(self.config.clone());
        BrokerConfig(whole)
    }

    pub(super) fn whole_runtime(&self) -> RuntimeInfo {
        let own = [
            ("commitLogMaxOffset", (self.store.messages() * 100).to_string()),
            ("commitLogMinOffset", "0".to_owned()),
            ("dispatchBehindBytes", "0".to_owned()),
            ("putTps", "0.0 0.0 0.0".to_owned()),
        ];
        let mut whole: BTreeMap<_, _> = own
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let release = self.release();
        for (level, delivered) in &self.store.delayed {
            if *delivered == 0 && !release.tells_levels_that_wait() {
                continue;
            }
            let max = self.store.queue(SCHEDULE_TOPIC, level - 1).max;
            whole.insert(
                format!("scheduleMessageOffset_{level}"),
                format!("{delivered},{max}"),
            );
        }
        whole.extend(self.runtime.clone());
        RuntimeInfo(whole)
    }

    /// Of a version that cannot be told, the newest is assumed.
    pub(super) fn release(&self) -> Version {
        let told = RuntimeInfo(self.runtime.clone()).release();
        told.unwrap_or(Version::new(5, 5, 0))
    }

    pub(super) fn address(&self) -> &str {
        &self.asked_on
    }

    pub(super) fn registered(&self) -> &str {
        self.registered.as_deref().unwrap_or(&self.asked_on)
    }

    pub(super) fn cluster_name(&self) -> &str {
        &self.cluster
    }

    pub(super) fn disk(&self) -> Option<&str> {
        self.disk.as_deref()
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn connected(&self, group: &str) -> Option<&ConsumerConnection> {
        self.online.get(group)
    }

    /// The groups that subscribe to a topic.
    pub(super) fn subscribed_to(&self, topic: &str) -> impl Iterator<Item = &String> {
        let online = self.online.iter();
        online
            .filter(move |(_, connection)| connection.topics.contains(topic))
            .map(|(group, _)| group)
    }

    pub(super) fn is_master_of(&self, other: &Self) -> bool {
        self.id == 0 && other.id != 0 && self.name == other.name && self.cluster == other.cluster
    }

    pub(super) fn ha_status(&self) -> HaStatus {
        let plain = HaStatus {
            master: self.id == 0,
            max_offset: self.store.messages() * 100,
            ..HaStatus::default()
        };
        self.ha.clone().unwrap_or(plain)
    }

    pub(super) fn knows(&self, account: Option<&Credentials>) -> Result<(), Fault> {
        if self.account.is_none() || self.account.as_ref() == account {
            return Ok(());
        }
        Err(Fault::refused(16, "check signature failed."))
    }
}

/// What happens to it.
impl FakeBroker {
    /// Starts, with what it finds on its disk.
    pub(super) fn start(mut self, kept: Option<Store>) -> Self {
        let version = self.release();
        self.store = kept.unwrap_or(self.store);
        self.store.settle();
        self.store.add_system(&self.cluster, &self.name, version);
        self
    }

    pub(super) fn registers_with(&self, name_server: &str, names: &BTreeMap<String, String>) -> bool {
        let is_it = |listed: &String| names.get(listed).unwrap_or(listed) == name_server;
        self.name_servers
            .as_ref()
            .is_none_or(|some| some.iter().any(is_it))
    }

    /// Its topics' queues as it tells them to name servers.
    pub(super) fn registered_queues(&self) -> impl Iterator<Item = (String, QueueData)> {
        let permitted = self.whole_config().broker_permission().unwrap_or(6);
        self.store.topics.values().map(move |topic| {
            let queues = QueueData {
                read: topic.read_queues,
                write: topic.write_queues,
                // INHERIT and the like are no matter of the broker's.
                perm: topic.perm & (permitted | !6),
                sys_flag: topic.sys_flag,
            };
            (topic.name.clone(), queues)
        })
    }

    /// Changes entries of its configuration, and tells whether it registers at once.
    pub(super) fn reconfigure(&mut self, changes: &BTreeMap<String, String>, now: Duration) -> bool {
        for (key, value) in changes.iter().filter(|(key, _)| !self.ignored.contains(*key)) {
            self.config.insert(key.clone(), value.clone());
            if key == "namesrvAddr" {
                let list = value.split(';').map(str::trim).filter(|entry| !entry.is_empty());
                self.next_name_servers = Some((list.map(ToOwned::to_owned).collect(), now));
            }
        }
        changes.contains_key("brokerPermission")
    }

    /// Takes the list of name servers that it was told, if it is of a version that does so live.
    pub(super) fn adopt_name_servers(&mut self) {
        if self.release().takes_name_servers_live()
            && let Some((list, _)) = self.next_name_servers.take()
        {
            self.name_servers = Some(list);
        }
    }

    pub(super) fn adopt_name_servers_if_due(&mut self, now: Duration) {
        let told = self.next_name_servers.as_ref();
        if told.is_some_and(|(_, at)| now.saturating_sub(*at) >= EXPIRE) {
            self.adopt_name_servers();
        }
    }
}
